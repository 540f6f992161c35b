"""Says once what int8 arithmetic means: scales, rounding, requantisation, ADD and MUL, in both families.

Family F is what XNNPACK and ONNX Runtime compute: one float32 multiplication, rounded half
to even. Family D is what TFLite's reference kernels and TFLite Micro compute: gemmlowp's
fixed point, rounded twice, the second time half away from zero. They differ by at most one unit.

ADD and MUL are the same in every runtime when their scales stand in a ratio ``p / q`` with
odd ``q``: no sum then lies on a half, so every kernel's error is smaller than the distance
to one. ``odd_ratio`` recognises such scales and ``snap_add`` makes them.

Operators on int16 activations (the 16x8 scheme: int8 weights, zero point 0) have one rule in
both families: see ``numerics16``.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgedistill.ir.graph import QParams

Int8 = NDArray[np.int8]
Scale = float | np.floating[Any]

MAX_DENOMINATOR = 1023
"""Largest ``q * 2**floor(log2(max ratio))`` at which all kernels were seen to agree on every pair."""

ADD_SHIFT = 20
"""Bits that family D's ADD computes with below int8's (TFLite's left_shift)."""

_DENOMINATOR = 255  # snapped scales: as fine as an int8 range, and ratios up to 8 stay under MAX_DENOMINATOR
_MAX_P = 8 * _DENOMINATOR - 1
_MAX_RATIO_MUL = 255
# Scales are float32, so a ratio is p/q only nearly. Two operands of at most 255 steps, ratios below
# 2 * 1023 / q: an error under 1 / (4 * 255 * 2046) keeps every sum on its side of the half, 1 / 2q away.
_TOLERANCE = 4e-7
_ROUNDING = 2.0**-23  # of a scale that is a float32 quotient
_IDEMPOTENT = 1e-6  # snapping snapped scales again changes nothing


def multiplier(s_x: ArrayLike, s_w: ArrayLike, s_y: ArrayLike) -> NDArray[np.float32]:
    """``f32(f32(s_x) * f32(s_w[c]) / f32(s_y))``: float32 [C]."""
    x, w, y = (np.asarray(s, np.float32) for s in (s_x, s_w, s_y))
    return np.atleast_1d(np.asarray((x * w).astype(np.float32) / y, np.float32))


def requantise_f(acc: NDArray[Any], m: NDArray[np.float32], zero_point: int) -> Int8:
    """``clamp(round_half_even(f32(acc) * m[c]) + zero_point)``; ``acc`` holds whole numbers [..., C]."""
    y = acc.astype(np.float32)
    y *= m
    np.rint(y, out=y)
    y += np.float32(zero_point)
    np.clip(y, -128, 127, out=y)
    return y.astype(np.int8)


class FixedPoint(NamedTuple):
    """A multiplier of family D: ``q31 / 2**31 * 2**shift`` with ``q31`` in [2**30, 2**31), or zero."""

    q31: int = 0
    shift: int = 0


def quantise_multiplier_d(real: float) -> FixedPoint:
    """The nearest to ``real``; below ``2**-32`` it is zero (TFLite's QuantizeMultiplier)."""
    if real == 0.0:
        return FixedPoint()
    mantissa, shift = math.frexp(real)
    q31 = math.floor(mantissa * 2**31 + 0.5)
    if q31 == 2**31:
        q31, shift = q31 // 2, shift + 1
    return FixedPoint() if shift < -31 else FixedPoint(q31, shift)


def multipliers_d(s_x: Scale, s_w: NDArray[np.float32], s_y: Scale) -> tuple[FixedPoint, ...]:
    """Family D's ``s_x * s_w[c] / s_y`` of each channel, computed in double."""
    effective = float(s_x) * np.asarray(s_w, np.float64) / float(s_y)
    return tuple(quantise_multiplier_d(float(e)) for e in np.atleast_1d(effective))


def add_multipliers_d(q_a: QParams, q_b: QParams, q_y: QParams) -> tuple[FixedPoint, FixedPoint, FixedPoint]:
    """Of family D's ADD: of the left operand, the right one and their sum, computed in double.

    Operands are shifted left by ADD_SHIFT and brought to twice the larger of their scales.
    """
    s_a, s_b, s_y = (float(q.scale[0]) for q in (q_a, q_b, q_y))
    twice = 2 * max(s_a, s_b)
    reals = (s_a / twice, s_b / twice, twice / (2**ADD_SHIFT * s_y))
    left, right, total = map(quantise_multiplier_d, reals)
    return left, right, total


def mul_multiplier_d(q_a: QParams, q_b: QParams, q_y: QParams) -> FixedPoint:
    """Of family D's MUL, computed in float32, unlike a convolution's.

    (TFLite Micro computes it in double, which moves one in millions of values.)
    """
    return quantise_multiplier_d(float(multiplier(q_a.scale, q_b.scale, q_y.scale)[0]))


def doubling_high_mul(a: NDArray[np.int64], b: ArrayLike) -> NDArray[np.int64]:
    """gemmlowp's SaturatingRoundingDoublingHighMul: ``a * b / 2**31``, half towards plus infinity.

    Its nudge (``2**30``, or ``1 - 2**30`` for negative products) and truncating division are
    the same as ``floor((a * b + 2**30) / 2**31)``.
    """
    product = np.multiply(a, np.asarray(b, np.int64))
    product += 2**30
    product >>= 31
    return np.minimum(product, 2**31 - 1, out=product)


def divide_by_power_of_two(x: NDArray[np.int64], exponent: ArrayLike) -> NDArray[np.int64]:
    """gemmlowp's RoundingDivideByPOT: ``x / 2**exponent``, half away from zero."""
    e = np.asarray(exponent, np.int64)
    y = x + ((np.int64(1) << e) >> 1)
    y -= (x < 0) & (e > 0)
    y >>= e
    return np.asarray(y)


def multiply_d(x: NDArray[np.int64], q31: ArrayLike, shift: ArrayLike) -> NDArray[np.int64]:
    """TFLite's MultiplyByQuantizedMultiplier with two roundings.

    Its left shift is undefined where it leaves int32; here, as in the C that is printed, it saturates.
    """
    s = np.asarray(shift, np.int64)
    shifted = np.clip(x << np.clip(s, 0, 31), -(2**31), 2**31 - 1)
    return divide_by_power_of_two(doubling_high_mul(shifted, q31), np.maximum(-s, 0))


def requantise_d(
    acc: NDArray[Any], s_x: Scale, s_w: NDArray[np.float32], s_y: Scale, zero_point: int
) -> Int8:
    """Family D's requantisation of ``acc`` [..., C]; the effective scale is computed in double."""
    q31, shift = np.array(multipliers_d(s_x, s_w, s_y), np.int64).T
    return _clamp(multiply_d(acc.astype(np.int64), q31, shift) + zero_point)


def requantise_once(
    acc: NDArray[Any], s_x: Scale, s_w: NDArray[np.float32], s_y: Scale, zero_point: int
) -> Int8:
    """As ``requantise_d``, but rounded once, half towards plus infinity: LiteRT's FULLY_CONNECTED (ruy)."""
    q31, shift = np.array(multipliers_d(s_x, s_w, s_y), np.int64).T
    total = 31 - shift
    y = (acc.astype(np.int64) * q31 + (np.int64(1) << (total - 1))) >> total
    return _clamp(y + zero_point)


def quantise(real: NDArray[Any], q: QParams) -> Int8:
    """``clamp(round_half_even(f32(real) / scale) + zero_point)``; scales lie along ``q.axis``."""
    scaled = np.rint(np.asarray(real, np.float32) / _along(q, np.ndim(real)))
    return _clamp(scaled + np.float32(q.zero_point))


def dequantise(x: NDArray[Any], q: QParams) -> NDArray[np.float32]:
    """``scale * (x - zero_point)`` in float32."""
    return ((x.astype(np.int64) - q.zero_point).astype(np.float32) * _along(q, x.ndim)).astype(np.float32)


def odd_ratio(s_a: Scale, s_b: Scale, s_y: Scale) -> tuple[int, int, int] | None:
    """``(p_a, p_b, q)`` with ``s_a / s_y = p_a / q``, ``s_b / s_y = p_b / q``, lowest terms, q odd; or None.

    None also when ``q * 2**floor(log2(max(p_a, p_b) / q))`` exceeds 1023.
    """
    r_a, r_b = float(s_a) / float(s_y), float(s_b) / float(s_y)
    for q in (_DENOMINATOR, *range(1, MAX_DENOMINATOR + 1, 2)):
        p_a, p_b = _numerator(r_a, q), _numerator(r_b, q)
        if p_a and p_b:
            divisor = math.gcd(p_a, p_b, q)
            p_a, p_b, q = p_a // divisor, p_b // divisor, q // divisor
            if q * 2.0 ** _floor_log2(max(p_a, p_b), q) <= MAX_DENOMINATOR:
                return p_a, p_b, q
    return None


def odd_ratio_mul(s_a: Scale, s_b: Scale, s_y: Scale) -> tuple[int, int] | None:
    """``(p, q)`` with ``s_a * s_b / s_y = p / q``, in lowest terms, odd ``q <= 1023``; or None."""
    ratio = float(s_a) * float(s_b) / float(s_y)
    for q in (_DENOMINATOR, *range(1, MAX_DENOMINATOR + 1, 2)):
        p = _numerator(ratio, q)
        if p:
            divisor = math.gcd(p, q)
            return p // divisor, q // divisor
    return None


def snap_add(
    s_a: Scale,
    s_b: Scale,
    s_y: Scale,
    largest_s_y: Scale | None = None,
    largest_s_b: Scale | None = None,
) -> tuple[np.float32, np.float32]:
    """``(s_b, s_y)``: the nearest scales, never finer than wished, that make ADD exact; ``s_a`` stays.

    ``s_y = s_a * q / p_a`` and ``s_b = s_y * p_b / q`` with q = 255 (1023 where s_a is over 255 times finer
    than s_y) and ratios below 8. Only where s_a is over 1023 times finer than the others do they shrink.
    ``largest_s_y`` and ``largest_s_b`` bound them from above instead, as a RELU6 does (``6 / 255``).
    """
    a, b = float(s_a), float(s_b)
    q, largest = _DENOMINATOR, _MAX_P
    y = max(float(s_y), b * q / largest)
    if q * a < y * (1 - _IDEMPOTENT):
        q, largest = MAX_DENOMINATOR, 2 * MAX_DENOMINATOR - 1
        y = max(float(s_y), b * q / largest)
    p_a = max(math.floor(q * a / y * (1 + _IDEMPOTENT)), 1)
    if largest_s_y is not None:
        p_a = max(p_a, math.ceil(q * a / float(largest_s_y) * (1 - _ROUNDING)))
    p_a = min(p_a, largest)
    snapped_y = np.float32(a * q / p_a)
    ratio_b = q * b / float(snapped_y)
    p_b = min(max(math.ceil(ratio_b * (1 - _IDEMPOTENT)), 1), largest)
    if largest_s_b is not None:
        p_b = max(min(p_b, math.floor(q * float(largest_s_b) / float(snapped_y) * (1 + _ROUNDING))), 1)
    return np.float32(float(snapped_y) * p_b / q), snapped_y


def snap_mul(
    s_a: Scale, s_b: Scale, s_y: Scale, largest_s_y: Scale | None = None
) -> tuple[np.float32, np.float32]:
    """``(s_b, s_y)`` that make MUL exact, never finer than the wished ones; ``s_a`` stays.

    ``s_b`` changes only where ``s_a * s_b`` is over 1023 times finer than ``s_y``. Of all odd
    ``q <= 1023`` the one that moves ``s_y`` least is taken. ``largest_s_y`` bounds s_y from above instead.
    """
    a, y = float(s_a), float(s_y)
    b = np.float32(max(float(s_b), y / (MAX_DENOMINATOR * a)))
    y = max(y, a * float(b) / _MAX_RATIO_MUL)
    q = np.arange(1, MAX_DENOMINATOR + 1, 2)
    p = np.floor(q * (a * float(b) / y) * (1 + _IDEMPOTENT))
    best = int(np.argmax(p / q))
    p_best = max(int(p[best]), 1)
    q_best = int(q[best]) if p[best] else MAX_DENOMINATOR
    if largest_s_y is not None and a * float(b) * q_best / p_best > float(largest_s_y):
        p = np.ceil(q * (a * float(b) / float(largest_s_y)) * (1 - _ROUNDING))
        best = int(np.argmin(p / q))
        p_best, q_best = int(p[best]), int(q[best])
    return b, np.float32(a * float(b) * q_best / p_best)


def add_f(a: Int8, b: Int8, q_a: QParams, q_b: QParams, q_y: QParams) -> Int8:
    """Family F's ADD: ``clamp(floor((2 * (p_a * a + p_b * b) + q) / 2q) + zero_point)``, exact.

    Scales without an odd ratio: ``round_half_even(f32(s_a/s_y) * a + f32(s_b/s_y) * b)`` in float32, from
    which runtimes differ by one unit in one of 10**5 values (one in 25 for ratios that are powers of two).
    """
    s_a, s_b, s_y = q_a.scale[0], q_b.scale[0], q_y.scale[0]
    ratio = odd_ratio(s_a, s_b, s_y)
    if ratio is None:
        real = (a.astype(np.float32) - q_a.zero_point) * (s_a / s_y)
        real += (b.astype(np.float32) - q_b.zero_point) * (s_b / s_y)
        return _clamp(np.rint(real) + q_y.zero_point)
    p_a, p_b, q = ratio
    wide = np.int32 if 2 * 255 * (p_a + p_b) + q < 2**31 else np.int64
    total = (a.astype(wide) - q_a.zero_point) * (2 * p_a)
    total += (b.astype(wide) - q_b.zero_point) * (2 * p_b)
    total += q
    return _clamp(total // (2 * q) + q_y.zero_point)


def mul_f(a: Int8, b: Int8, q_a: QParams, q_b: QParams, q_y: QParams) -> Int8:
    """Family F's MUL: ``clamp(floor((2 * p * a * b + q) / 2q) + zero_point)``, exact.

    Scales without an odd ratio: ``round_half_even(f32(s_a * s_b / s_y) * a * b)`` in float32, inexact as ADD.
    """
    s_a, s_b, s_y = q_a.scale[0], q_b.scale[0], q_y.scale[0]
    ratio = odd_ratio_mul(s_a, s_b, s_y)
    product = (a.astype(np.int32) - q_a.zero_point) * (b.astype(np.int32) - q_b.zero_point)
    if ratio is None:
        return requantise_f(product, multiplier(s_a, s_b, s_y), q_y.zero_point)
    p, q = ratio
    if 2 * p * 255 * 255 + q >= 2**31:
        product = product.astype(np.int64)
    return _clamp((product * (2 * p) + q) // (2 * q) + q_y.zero_point)


def add_d(a: Int8, b: Int8, q_a: QParams, q_b: QParams, q_y: QParams) -> Int8:
    """TFLite's reference ADD: both operands are brought to one scale at 20 more bits, then summed."""
    of_a, of_b, of_sum = add_multipliers_d(q_a, q_b, q_y)

    def scaled(x: Int8, multiplier: FixedPoint, zero_point: int) -> NDArray[np.int64]:
        every = np.arange(-128, 128, dtype=np.int64) - zero_point
        table = multiply_d(every << ADD_SHIFT, *multiplier)
        return np.asarray(table[x.astype(np.int64) + 128])

    total = scaled(a, of_a, q_a.zero_point) + scaled(b, of_b, q_b.zero_point)
    return _clamp(multiply_d(total, *of_sum) + q_y.zero_point)


def mul_d(a: Int8, b: Int8, q_a: QParams, q_b: QParams, q_y: QParams) -> Int8:
    """TFLite's reference MUL."""
    product = (a.astype(np.int64) - q_a.zero_point) * (b.astype(np.int64) - q_b.zero_point)
    return _clamp(multiply_d(product, *mul_multiplier_d(q_a, q_b, q_y)) + q_y.zero_point)


def _clamp(y: NDArray[Any]) -> Int8:
    return np.asarray(np.clip(y, -128, 127), np.int8)


def _along(q: QParams, ndim: int) -> NDArray[np.float32]:
    if q.axis is None:
        return q.scale
    return q.scale.reshape([-1 if i == q.axis else 1 for i in range(ndim)])


def _numerator(ratio: float, q: int) -> int:
    """p with ``p / q = ratio`` to float32's precision, or 0."""
    p = round(ratio * q)
    return p if p >= 1 and abs(ratio * q - p) <= _TOLERANCE * p else 0


def _floor_log2(p: int, q: int) -> int:
    """``floor(log2(p / q))`` without rounding."""
    e = p.bit_length() - q.bit_length()
    return e if (p >= q << e if e >= 0 else p << -e >= q) else e - 1
