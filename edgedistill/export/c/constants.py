"""Turns the odd-denominator rule of ADD and MUL into the few integers that the C kernels use.

``floor((2s + q) / 2q) = floor((s + (q - 1) / 2) / q)`` for odd q, and the division of a
number t in [0, 2**22) by q <= 1023 is ``t * ceil(2**32 / q) >> 32`` (Granlund and Montgomery
1994, theorem 4.2: the error ``t * (ceil(2**32 / q) * q - 2**32) / 2**32`` stays below 1).
"""

from __future__ import annotations

from collections.abc import Mapping

from edgedistill.export.c import text
from edgedistill.ir import numerics
from edgedistill.ir.graph import QParams

_SATURATED = 512  # a quotient of this size lies outside int8 whatever the zero point


def add(a: QParams, b: QParams, y: QParams) -> Mapping[str, int] | None:
    """The fields of ``edge_add_t``; None where the scales have no odd ratio."""
    ratio = numerics.odd_ratio(a.scale[0], b.scale[0], y.scale[0])
    if ratio is None:
        return None
    p_a, p_b, q = _above_one(ratio)
    offset = (q - 1) // 2 - p_a * a.zero_point - p_b * b.zero_point
    lowest = -128 * (p_a + p_b) + offset
    turns = max(-(lowest // q), 0)
    assert max(p_a, p_b) < 2**15  # the kernels hold them in halfwords
    highest = 127 * (p_a + p_b) + offset + turns * q
    return {
        "left": p_a,
        "right": p_b,
        "offset": offset + turns * q,
        "factor": _factor(q, highest),
        "zero": y.zero_point - turns,
    }


def add_d(a: QParams, b: QParams, y: QParams) -> Mapping[str, int | str]:
    """The fields of ``edge_add_fixed_t``."""
    left, right, total = numerics.add_multipliers_d(a, b, y)
    return {
        "left_zero": a.zero_point,
        "right_zero": b.zero_point,
        "zero": y.zero_point,
        "left": text.scale(left),
        "right": text.scale(right),
        "sum": text.scale(total),
    }


def mul(a: QParams, b: QParams, y: QParams) -> Mapping[str, int] | None:
    """The fields of ``edge_mul_t`` but its counts; None where the scales have no odd ratio."""
    ratio = numerics.odd_ratio_mul(a.scale[0], b.scale[0], y.scale[0])
    if ratio is None:
        return None
    p, q = _above_one(ratio)
    limit = min(255 * 255, -(-_SATURATED * q // p))
    turns = -(-p * limit // q)
    offset = (q - 1) // 2 + turns * q
    return {
        "a_zero": a.zero_point,
        "b_zero": b.zero_point,
        "low": -limit,
        "high": limit,
        "numerator": p,
        "offset": offset,
        "factor": _factor(q, p * limit + offset),
        "zero": y.zero_point - turns,
    }


def _above_one(ratio: tuple[int, ...]) -> tuple[int, ...]:
    """The same ratio with a denominator of at least 3, so that ``2**32 / q`` fits in int32."""
    return ratio if ratio[-1] > 1 else tuple(3 * part for part in ratio)


def _factor(q: int, highest: int) -> int:
    factor = -(-(2**32) // q)
    assert highest * (factor * q - 2**32) < 2**32 and highest < 2**31 and factor < 2**31
    return factor
