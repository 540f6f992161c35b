"""Says once what int16 arithmetic means: int16 activations, int8 weights, one rule in every runtime.

The 16x8 scheme of TFLite (quantisation specification, "int16"): activations are int16 with zero
point 0, weights int8 per output channel. What LiteRT 2.3 was measured to compute, in its default
(XNNPACK has no int16 operators and leaves them), builtin and reference kernels alike
(benchmarks/int16_rules.py):

- CONV_2D and DEPTHWISE_CONV_2D with an int64 bias: an int64 sum, times the multiplier of family D
  rounded to 15 bits, shifted with one rounding, half towards plus infinity (TFLite's
  MultiplyByQuantizedMultiplier for int64). This is the rule here: ``requantise_16``. LiteRT narrows
  the product to int32 before it saturates: past that it wraps, which ``verify.inexact`` tells.
- CONV_2D with an int32 bias keeps 31 bits of the multiplier (off by 1 in one of 7 values), and
  FULLY_CONNECTED differs as often, whatever its bias: neither is used. A fully connected layer is
  printed as a 1x1 convolution.
- ADD of three equal scales is the saturated sum. Other scales are avoided.
- QUANTIZE from int8 is exact where the input's scale is a whole multiple of the output's, and to
  int8 at equal scales. Other ratios to int8 are rounded twice (off by 1 beside each half).
- RESHAPE and PAD move values.

The rule is one float64 expression, because every product stays below 2**53: the sum below 2**38
(``MAX_SUM``), the multiplier below 2**15 times a power of two. So torch, ONNX Runtime and NumPy
compute it exactly, and C with int64 and a shift.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgedistill.ir.graph import QParams
from edgedistill.ir.ops import Act

Int16 = NDArray[np.int16]

LOWEST, HIGHEST = -(2**15), 2**15 - 1
MAX_SUM = 2**38
"""Sums below this times a 15-bit multiplier are exact in float64."""
MAX_MULTIPLIER = 128.0
"""TFLite's multiplier of an int64 sum asserts a left shift below 8."""
MAX_STEPS = 2**31
"""TFLite narrows the product to int32 before it saturates, so larger ones would wrap around."""

_WHOLE = 1e-6  # a few float32 roundings of a ratio of scales


def multiplier_16(s_x: ArrayLike, s_w: ArrayLike, s_y: ArrayLike) -> NDArray[np.float64]:
    """``s_x * s_w[c] / s_y`` to 15 bits, float64 [C]: first to 31 bits, as TFLite, then to 15.

    Below ``2**-32`` it is zero.
    """
    x, w, y = (np.asarray(s, np.float64) for s in (s_x, s_w, s_y))
    mantissa, exponent = np.frexp(np.atleast_1d(x * w / y))
    q31 = np.floor(mantissa * 2**31 + 0.5).astype(np.int64)
    full = q31 == 2**31
    q31, exponent = np.where(full, q31 // 2, q31), np.where(full, exponent + 1, exponent)
    q15 = np.where(q31 < 0x7FFF0000, (q31 + 2**15) >> 16, 0x7FFF)
    return np.asarray(np.ldexp(np.where(exponent < -31, 0, q15), exponent - 15), np.float64)


def fixed_16(multiplier: float) -> tuple[int, int]:
    """A ``multiplier_16`` as ``(q15, shift)``: ``q15 / 2**shift``, shift at least 8; zero is ``(0, 15)``."""
    if multiplier == 0.0:
        return 0, 15
    mantissa, exponent = np.frexp(multiplier)
    return int(mantissa * 2**15), 15 - int(exponent)


def requantise_16(
    acc: NDArray[np.float32] | NDArray[np.float64], m: NDArray[np.float64], low: int, high: int
) -> Int16:
    """``clamp(floor(acc * m[c] + 0.5))``; ``acc`` holds whole numbers [..., C] below MAX_SUM."""
    y = acc.astype(np.float64)
    y *= m
    y += 0.5
    np.floor(y, out=y)
    np.clip(y, low, high, out=y)
    return y.astype(np.int16)


def limits_16(q: QParams, act: Act) -> tuple[int, int]:
    """Lowest and highest int16 value of an output of scale ``q.scale`` that ends in ``act``.

    RELU6 ends at ``6 / scale`` in float32, rounded half away from zero (TFLite's
    CalculateActivationRangeQuantized).
    """
    if act == "none":
        return LOWEST, HIGHEST
    if act == "relu":
        return 0, HIGHEST
    return 0, int(min(np.floor(np.float64(np.float32(6) / q.scale[0]) + 0.5), HIGHEST))


def add_16(a: Int16, b: Int16, q_y: QParams, act: Act) -> Int16:
    """``clamp(a + b)``: all three scales are equal."""
    total = a.astype(np.int32) + b
    return np.asarray(np.clip(total, *limits_16(q_y, act)), np.int16)


def whole_ratio(q_x: QParams, q_y: QParams) -> int | None:
    """p of QUANTIZE: ``scale_x = p * scale_y`` with a whole p (1 to int8); None: not one of these."""
    ratio = float(q_x.scale[0]) / float(q_y.scale[0])
    p = round(ratio)
    near = p >= 1 and abs(ratio / p - 1) <= _WHOLE
    return p if near and (p == 1 or q_y.bits == 16) else None


def requantise_whole(
    x: NDArray[np.int8] | NDArray[np.int16], q_x: QParams, q_y: QParams
) -> NDArray[np.int8] | NDArray[np.int16]:
    """QUANTIZE: ``clamp(p * (x - zero_point_x) + zero_point_y)``, exact."""
    p = whole_ratio(q_x, q_y)
    assert p is not None, f"scales {q_x.scale[0]} and {q_y.scale[0]}"
    y = (x.astype(np.int32) - q_x.zero_point) * p + q_y.zero_point
    if q_y.bits == 16:
        return np.asarray(np.clip(y, LOWEST, HIGHEST), np.int16)
    return np.asarray(np.clip(y, -128, 127), np.int8)
