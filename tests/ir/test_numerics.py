"""The arithmetic against independent definitions: exact fractions, C's integer semantics, all pairs."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgedistill.ir import numerics as n
from edgedistill.ir.graph import QParams

scales = st.floats(2.0**-12, 2.0, width=32).map(np.float32)
zero_points = st.integers(-128, 127)
EVERY = np.arange(-128, 128).astype(np.int8)
A, B = (m.ravel().astype(np.int8) for m in np.meshgrid(EVERY, EVERY))


def q(scale: n.Scale, zero_point: int = 0) -> QParams:
    return QParams(np.array([scale], np.float32), zero_point)


def int8(*values: int) -> NDArray[np.int8]:
    return np.array(values, np.int8)


def half_even(value: Fraction) -> int:
    return round(value)  # Fraction rounds half to even


def clamp(value: int) -> int:
    return max(-128, min(127, value))


def test_multiplier_rounds_the_product_first() -> None:
    x, w, y = np.float32(0.1), np.array([0.3, 0.7], np.float32), np.float32(0.013)
    m = n.multiplier(x, w, y)
    assert m.dtype == np.float32 and m.shape == (2,)
    assert m[0] == np.float32(np.float32(x * w[0]) / y)
    assert n.multiplier(0.5, 0.25, 0.125).tolist() == [1.0]


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=40), scales, zero_points)
def test_requantise_f_is_one_float32_product_rounded_half_even(acc: list[int], m: np.float32, z: int) -> None:
    got = n.requantise_f(np.array(acc, np.int32).reshape(-1, 1), np.array([m]), z)
    for a, y in zip(acc, got[:, 0], strict=True):
        product = np.float32(a) * m  # each step rounded to float32
        assert y == clamp(half_even(Fraction(float(product))) + z)


def test_halves_go_to_even_in_f_and_away_from_zero_in_d() -> None:
    acc = np.array([[1], [3], [5], [-1], [-3], [-5]], np.int32)
    assert n.requantise_f(acc, np.array([0.5], np.float32), 0)[:, 0].tolist() == [0, 2, 2, 0, -2, -2]
    one = np.array([1.0], np.float32)
    # the first rounding is half upwards, so -0.5 becomes 0 when no second shift follows
    assert n.requantise_d(acc, 0.5, one, 1.0, 0)[:, 0].tolist() == [1, 2, 3, 0, -1, -2]
    assert n.requantise_d(acc * 2, 0.25, one, 1.0, 0)[:, 0].tolist() == [1, 2, 3, -1, -2, -3]


@given(st.floats(2.0**-30, 2.0**20))
def test_fixed_point_multiplier_is_normalised_and_near(real: float) -> None:
    q31, shift = n.quantise_multiplier_d(real)
    assert 2**30 <= q31 < 2**31
    assert abs(q31 * 2.0 ** (shift - 31) / real - 1) <= 2.0**-31


def test_fixed_point_multiplier_at_its_edges() -> None:
    assert n.quantise_multiplier_d(0.0) == (0, 0)
    assert n.quantise_multiplier_d(1.0) == (2**30, 1)
    assert n.quantise_multiplier_d(1 - 2.0**-40) == (2**30, 1)  # the mantissa rounds up to 1
    assert n.quantise_multiplier_d(2.0**-40) == (0, 0)


def c_divide(a: int, b: int) -> int:
    """C's division truncates."""
    return abs(a) // b * (1 if a >= 0 else -1)


def gemmlowp_high_mul(a: int, b: int) -> int:
    if a == b == -(2**31):
        return 2**31 - 1
    product = a * b
    return c_divide(product + (2**30 if product >= 0 else 1 - 2**30), 2**31)


def gemmlowp_divide_by_pot(x: int, exponent: int) -> int:
    mask = (1 << exponent) - 1
    return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0))


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1))
def test_high_mul_is_gemmlowps(a: int, b: int) -> None:
    assert n.doubling_high_mul(np.array([a]), b)[0] == gemmlowp_high_mul(a, b)


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 31))
def test_divide_by_pot_is_gemmlowps(x: int, exponent: int) -> None:
    assert n.divide_by_power_of_two(np.array([x]), exponent)[0] == gemmlowp_divide_by_pot(x, exponent)


def test_high_mul_and_divide_on_every_near_half() -> None:
    for a in (2**30, -(2**30), 3 * 2**29, -(3 * 2**29)):
        for b in (*range(-5, 6), 2**30, 2**31 - 1):
            assert n.doubling_high_mul(np.array([a]), b)[0] == gemmlowp_high_mul(a, b)
    for x in range(-40, 41):
        for e in range(4):
            assert n.divide_by_power_of_two(np.array([x]), e)[0] == gemmlowp_divide_by_pot(x, e)


@example([2**18, -(2**18)], np.float32(2), np.float32(2), np.float32(2**-12), 0)  # the shift leaves int32
@given(st.lists(st.integers(-(2**20), 2**20), min_size=1, max_size=30), scales, scales, scales, zero_points)
def test_families_differ_by_at_most_one(
    acc: list[int], s_x: np.float32, s_w: np.float32, s_y: np.float32, z: int
) -> None:
    values, w = np.array(acc, np.int32).reshape(-1, 1), np.array([s_w], np.float32)
    f = n.requantise_f(values, n.multiplier(s_x, w, s_y), z).astype(int)
    d = n.requantise_d(values, s_x, w, s_y, z).astype(int)
    assert np.abs(f - d).max() <= 1


def test_requantise_takes_one_multiplier_per_channel() -> None:
    acc = np.full((2, 3, 2), 1000, np.int32)
    s_w = np.array([0.01, 0.05], np.float32)
    for got in (n.requantise_f(acc, n.multiplier(1, s_w, 1), 3), n.requantise_d(acc, 1.0, s_w, 1.0, 3)):
        assert got.dtype == np.int8 and got[1, 2].tolist() == [13, 53]


@given(scales, scales, scales)
def test_snapped_addition_has_an_odd_ratio(s_a: np.float32, s_b: np.float32, s_y: np.float32) -> None:
    b, y = n.snap_add(s_a, s_b, s_y)
    ratio = n.odd_ratio(s_a, b, y)
    assert ratio is not None
    p_a, p_b, d = ratio
    assert d % 2 == 1 and math.gcd(p_a, p_b, d) == 1 and max(p_a, p_b) < 8 * d
    assert d * 2.0 ** math.floor(math.log2(max(p_a, p_b) / d)) <= 1023
    assert float(s_a) / float(y) == pytest.approx(p_a / d, rel=5e-7)
    assert float(b) / float(y) == pytest.approx(p_b / d, rel=5e-7)
    if max(s_y, s_b) < 1000 * s_a:
        assert b >= s_b * (1 - 2e-6) and y >= s_y * (1 - 2e-6)


@given(scales, scales, scales)
def test_snapping_twice_changes_nothing(s_a: np.float32, s_b: np.float32, s_y: np.float32) -> None:
    b, y = n.snap_add(s_a, s_b, s_y)
    assert list(n.snap_add(s_a, b, y)) == pytest.approx([b, y], rel=1e-6)


def test_snapping_moves_common_scales_little() -> None:
    b, y = n.snap_add(np.float32(0.02), np.float32(0.03), np.float32(0.04))
    assert 0.04 <= y < 0.04 * 1.01 and 0.03 <= b < 0.03 * 1.01


@given(scales, scales, scales)
def test_snapped_product_has_an_odd_ratio(s_a: np.float32, s_b: np.float32, s_y: np.float32) -> None:
    b, y = n.snap_mul(s_a, s_b, s_y)
    ratio = n.odd_ratio_mul(s_a, b, y)
    assert ratio is not None and ratio[1] % 2 == 1 and ratio[1] <= 1023
    assert b >= s_b * (1 - 2e-6) and y >= s_y * (1 - 2e-6)


@given(st.floats(2.0**-12, 0.125, width=32).map(np.float32), scales, st.floats(1e-3, 6 / 255))
def test_snapping_can_end_at_six(s_a: np.float32, s_b: np.float32, s_y: float) -> None:
    limit = 6 / 255
    ends = np.float32(min(float(s_b), limit))
    b, y = n.snap_add(s_a, ends, np.float32(s_y), None, limit)
    assert n.odd_ratio(s_a, b, y) is not None and b <= limit * (1 + 2e-7)
    b, y = n.snap_add(s_a, s_b, np.float32(s_y), limit)
    assert n.odd_ratio(s_a, b, y) is not None and y <= limit * (1 + 2e-7)
    b, y = n.snap_mul(s_a, s_b, np.float32(s_y), limit)
    assert n.odd_ratio_mul(s_a, b, y) is not None and y <= limit * (1 + 2e-7)
    _, y = n.snap_add(np.float32(0.02), np.float32(0.02), np.float32(limit), limit)
    assert y > limit * 0.99


def test_a_gate_of_one_255th_keeps_its_scale() -> None:
    b, y = n.snap_mul(np.float32(0.02), np.float32(1 / 255), np.float32(0.02))
    assert b == np.float32(1 / 255) and y == pytest.approx(0.02, rel=1e-6)
    assert n.odd_ratio_mul(np.float32(0.02), b, y) == (1, 255)


@pytest.mark.parametrize(
    ("triple", "expected"),
    [
        ((0.5, 0.5, 0.5), (1, 1, 1)),
        ((0.5, 1.5, 0.5), (1, 3, 1)),
        ((0.25, 0.5, 0.75), (1, 2, 3)),
        ((0.5, 1.0, 1.0), None),  # 1/2: even
        ((0.5, 0.3141592, 0.7071067), None),
        ((8.0, 1.0, 1.0), (8, 1, 1)),
        ((8.0 * 255, 255.0, 255.0 - 2), None),  # 253 * 2**3 is past 1023
    ],
)
def test_odd_ratio(triple: tuple[float, float, float], expected: tuple[int, int, int] | None) -> None:
    assert n.odd_ratio(*(np.float32(s) for s in triple)) == expected


def test_odd_ratio_mul() -> None:
    assert n.odd_ratio_mul(np.float32(0.02), np.float32(1 / 255), np.float32(0.02)) == (1, 255)
    assert n.odd_ratio_mul(np.float32(0.02), np.float32(1 / 256), np.float32(0.02)) is None


@settings(max_examples=25, deadline=None)
@given(scales, scales, scales, zero_points, zero_points, zero_points)
def test_exact_addition_is_what_float_arithmetic_rounds_to(
    s_a: np.float32, s_b: np.float32, s_y: np.float32, z_a: int, z_b: int, z_y: int
) -> None:
    b, y = n.snap_add(s_a, s_b, s_y)
    got = n.add_f(A, B, q(s_a, z_a), q(b, z_b), q(y, z_y))
    real = (A.astype(np.float64) - z_a) * (float(s_a) / float(y)) + (B - np.float64(z_b)) * (
        float(b) / float(y)
    )
    np.testing.assert_array_equal(got, np.clip(np.rint(real) + z_y, -128, 127))
    close = n.add_d(A, B, q(s_a, z_a), q(b, z_b), q(y, z_y)).astype(int)
    np.testing.assert_array_equal(close, got)  # exact in both families, on all 65,536 pairs


@settings(max_examples=25, deadline=None)
@given(scales, scales, scales, zero_points, zero_points, zero_points)
def test_exact_product_is_what_float_arithmetic_rounds_to(
    s_a: np.float32, s_b: np.float32, s_y: np.float32, z_a: int, z_b: int, z_y: int
) -> None:
    b, y = n.snap_mul(s_a, s_b, s_y)
    got = n.mul_f(A, B, q(s_a, z_a), q(b, z_b), q(y, z_y))
    real = (A.astype(np.float64) - z_a) * (B.astype(np.float64) - z_b) * (float(s_a) * float(b) / float(y))
    np.testing.assert_array_equal(got, np.clip(np.rint(real) + z_y, -128, 127))


@given(scales, scales, scales)
def test_addition_without_a_ratio_is_within_one_of_d(
    s_a: np.float32, s_b: np.float32, s_y: np.float32
) -> None:
    f, d = (add(A, B, q(s_a, 5), q(s_b, -7), q(s_y, 1)).astype(int) for add in (n.add_f, n.add_d))
    assert np.abs(f - d).max() <= 1


def test_ds_product_scale_is_float32() -> None:
    """A pair on which LiteRT 2.3's reference kernel answers -65; a scale computed in double gives -66."""
    scales = (q(0.01699763908982277), q(0.21511627733707428), q(0.23401400446891785))
    assert n.mul_d(int8(33), int8(-127), *scales).tolist() == [-65]
    effective = 0.01699763908982277 * 0.21511627733707428 / 0.23401400446891785
    assert n.multiply_d(np.array([33 * -127]), *n.quantise_multiplier_d(effective)).tolist() == [-66]


def test_products_past_int32_are_exact() -> None:
    y = n.mul_f(int8(127), int8(127), q(2.0, -128), q(255 / 2, -128), q(1.0))  # p = 255
    assert y.tolist() == [127]
    big = n.mul_f(int8(0), int8(-127), q(200.0, -128), q(100.0, -127), q(1.0))  # p = 20,000
    assert big.tolist() == [0]


@given(st.lists(st.floats(-4, 4, width=32), min_size=1), scales, zero_points)
def test_quantising_returns_to_the_nearest_step(real: list[float], scale: np.float32, z: int) -> None:
    x, parameters = np.array(real, np.float32), q(scale, z)
    stored = n.quantise(x, parameters)
    assert stored.dtype == np.int8
    inside = (stored > -128) & (stored < 127)
    error = np.abs(n.dequantise(stored, parameters) - x)[inside]
    assert (error <= float(scale) * 0.5 * (1 + 1e-5) + 1e-6).all()
    np.testing.assert_array_equal(n.quantise(n.dequantise(stored, parameters), parameters), stored)


def test_quantise_per_channel_and_half_even() -> None:
    parameters = QParams(np.array([1.0, 0.5], np.float32), 0, 0)
    assert n.quantise(np.array([[0.5, 1.5, -200], [0.25, 0.75, 1]]), parameters).tolist() == [
        [0, 2, -128],
        [0, 2, 2],
    ]
    assert n.dequantise(int8(4, 4)[:, None], parameters).tolist() == [[4.0], [2.0]]
