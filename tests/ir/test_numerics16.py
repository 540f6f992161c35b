"""The int16 rule against TFLite's integer arithmetic, written out in Python's whole numbers."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from edgedistill.ir import numerics16 as n
from edgedistill.ir.graph import QParams

scales = st.floats(2.0**-20, 2.0, width=32).map(np.float32)


def q(scale: float, zero_point: int = 0, bits: int = 16) -> QParams:
    return QParams(np.array([scale], np.float32), zero_point, bits=bits)


def tflite(acc: int, real: float) -> int:
    """QuantizeMultiplier and MultiplyByQuantizedMultiplier for int64 (kernels/internal/common.cc)."""
    mantissa, shift = math.frexp(real)
    q31 = math.floor(Fraction(mantissa) * 2**31 + Fraction(1, 2))
    if q31 == 2**31:
        q31, shift = q31 // 2, shift + 1
    if shift < -31:
        q31, shift = 0, 0
    reduced = (q31 + (1 << 15)) >> 16 if q31 < 0x7FFF0000 else 0x7FFF
    total = 15 - shift
    return (acc * reduced + (1 << (total - 1))) >> total


@given(st.integers(-(2**38) + 1, 2**38 - 1), scales, scales, scales)
@example(3, np.float32(0.5), np.float32(1), np.float32(1))
@example(-3, np.float32(0.5), np.float32(1), np.float32(1))
@example(2**38 - 1, np.float32(1), np.float32(1), np.float32(1 + 2**-23))
@example(2**38 - 1, np.float32(2**-20), np.float32(2**-20), np.float32(2))
def test_requantise_is_tflites_to_the_bit(acc: int, x: np.float32, w: np.float32, y: np.float32) -> None:
    real = float(x) * float(w) / float(y)
    if real >= n.MAX_MULTIPLIER:
        return
    m = n.multiplier_16(x, np.array([w]), y)
    got = n.requantise_16(np.array([[float(acc)]]), m, n.LOWEST, n.HIGHEST)
    assert got.dtype == np.int16
    assert int(got[0, 0]) == max(-32768, min(32767, tflite(acc, real)))


@given(scales, scales, scales)
@example(np.float32(1), np.float32(1), np.float32(1))
def test_the_fixed_form_is_the_same_number(x: np.float32, w: np.float32, y: np.float32) -> None:
    m = float(n.multiplier_16(x, np.array([w]), y)[0])
    if m >= n.MAX_MULTIPLIER:
        return
    q15, shift = n.fixed_16(m)
    assert Fraction(m) == Fraction(q15, 2**shift)
    assert 0 <= q15 < 2**15 and 8 <= shift <= 46


def test_a_multiplier_below_two_to_minus_32_is_zero() -> None:
    tiny = n.multiplier_16(2.0**-20, np.array([2.0**-20]), 1.0)
    assert tiny.tolist() == [0.0] and n.fixed_16(0.0) == (0, 15)
    assert n.multiplier_16(2.0**-16, np.array([2.0**-16]), 1.0).tolist() == [2.0**-32]


def test_activations_end_where_tflite_ends_them() -> None:
    assert n.limits_16(q(0.001), "none") == (-32768, 32767)
    assert n.limits_16(q(0.001), "relu") == (0, 32767)
    assert n.limits_16(q(0.001), "relu6") == (0, 6000)
    assert n.limits_16(q(1e-5), "relu6") == (0, 32767)
    assert n.limits_16(q(4.0), "relu6") == (0, 2)  # 1.5, half away from zero


def test_add_saturates_at_both_ends() -> None:
    a, b = np.array([32767, -32768, 5], np.int16), np.array([1, -1, -7], np.int16)
    assert n.add_16(a, b, q(0.1), "none").tolist() == [32767, -32768, -2]
    assert n.add_16(a, b, q(0.1), "relu").tolist() == [32767, 0, 0]


@given(st.integers(1, 300), st.integers(-128, 127), scales)
def test_widening_keeps_the_real_value(p: int, zero_point: int, unit: np.float32) -> None:
    narrow, wide = q(float(np.float32(p * float(unit))), zero_point, 8), q(float(unit))
    assert n.whole_ratio(narrow, wide) == p
    x = np.arange(-128, 128).astype(np.int8)
    got = n.requantise_whole(x, narrow, wide)
    assert got.tolist() == [max(-32768, min(32767, p * (v - zero_point))) for v in range(-128, 128)]


def test_narrowing_wants_equal_scales() -> None:
    x = np.array([-32768, -5, 0, 130, 32767], np.int16)
    assert n.requantise_whole(x, q(0.5), q(0.5, -3, 8)).tolist() == [-128, -8, -3, 127, 127]
    assert n.whole_ratio(q(1.5), q(0.5, 0, 8)) is None  # LiteRT rounds it twice
    assert n.whole_ratio(q(0.5, 0, 8), q(0.3)) is None
    assert n.whole_ratio(q(0.1, 0, 8), q(0.3)) is None
