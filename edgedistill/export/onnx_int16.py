"""ONNX: operators on int16, made of float operators whose every result is whole, so that no CPU differs.

ONNX Runtime has no int16 convolution, so an int16 value is held as a whole number in float32, and a
sum of products is taken in digits: ``x = sum(d_i * 2**(bits * i))`` with signed digits so small that
``sum(|d * w|) < 2**24``, where float32 sums are exact in any order, with or without fused multiply-adds.
The digits' sums are joined in float64, and requantised there by the rule of ``ir.numerics16``, whose
products stay below 2**53. What an operator writes has its name in the graph, as float32.

::

    Given:   y = CONV_2D(x)                                x, y int16
    Result:  h = Floor(x / 256 + 1/2); l = x - 256 * h     two digits of 8 bits, where they suffice
             acc = 256 * double(Conv(h)) + double(Conv(l)) + bias
             y = float(Clip(Floor(acc * m + 1/2)))
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from edgedistill.export.onnx_emitter import Emitter, conv_attrs
from edgedistill.ir import numerics16
from edgedistill.ir.graph import Op, QParams
from edgedistill.ir.ops import Add, FullyConnected, Quantize

_EXACT_FLOAT32 = 2**24
_BITS = 16


def emit(e: Emitter, op: Op) -> None:
    """Writes one operator that computes with int16, or turns it into int8 or back."""
    (y,) = op.outputs
    match op.attrs:
        case Quantize():
            _quantise(e, op)
        case Add(act):
            total = e.node("Add", [*map(e.value, op.inputs)], f"{y}/sum", f"{op.name}/add")
            limits = numerics16.limits_16(_quant(e, y), act)
            ends = [e.constant(f"int16/{v}", np.float32(v)) for v in limits]
            e.node("Clip", [total, *ends], e.value(y), op.name)
        case _:
            _weighted(e, op)


def digit_bits(largest_sum: int) -> int:
    """Bits of the widest digits with which sums of ``|w|`` up to ``largest_sum`` are exact in float32."""
    for count in range(1, _BITS + 1):
        bits = -(-_BITS // count)
        if largest_sum * 2 ** (bits - 1) < _EXACT_FLOAT32:
            return bits
    raise AssertionError(f"weights that sum up to {largest_sum}")


def _weighted(e: Emitter, op: Op) -> None:
    x, w, b = op.inputs
    (y,) = op.outputs
    data, bias = e.tensor(w).data, e.tensor(b).data
    assert data is not None and bias is not None
    dense = isinstance(op.attrs, FullyConnected)
    axis = 3 if op.kind == "DEPTHWISE_CONV_2D" else 0
    rows = np.abs(np.moveaxis(data.astype(np.int64), axis, 0)).reshape(data.shape[axis], -1).sum(1)
    bits = digit_bits(int(rows.max(initial=1)))
    kernel = e.constant(f"{w}/float32", _kernel(data.astype(np.float32), axis))
    acc = ""
    for i, digit in enumerate(_digits(e, e.value(x), y, bits)):
        name = f"{op.name}/digit{i}"
        if dense:
            part = e.node("MatMul", [digit, kernel], f"{y}/sum{i}", name)
        else:
            part = e.node("Conv", [digit, kernel], f"{y}/sum{i}", name, conv_attrs(e, op))
        part = e.node("Cast", [part], f"{y}/sum{i}/double", f"{name}/cast", {"to": int(TensorProto.DOUBLE)})
        if acc:
            weight = e.constant(f"int16/base{bits}", np.float64(2**bits))
            acc = e.node("Mul", [acc, weight], f"{y}/acc{i}/shifted", f"{name}/shift")
            acc = e.node("Add", [acc, part], f"{y}/acc{i}", f"{name}/join")
        else:
            acc = part
    along = (1, -1) if dense else (1, -1, 1, 1)
    acc = e.node(
        "Add",
        [acc, e.constant(f"{b}/float64", bias.astype(np.float64).reshape(along))],
        f"{y}/acc",
        f"{op.name}/bias",
    )
    _requantise(e, op, acc, along)


def _requantise(e: Emitter, op: Op, acc: str, along: tuple[int, ...]) -> None:
    (y,) = op.outputs
    scales = [_quant(e, name).scale for name in (op.inputs[0], op.inputs[1], y)]
    m = np.broadcast_to(numerics16.multiplier_16(*scales), (e.tensor(op.inputs[2]).shape[0],))
    limits = numerics16.limits_16(_quant(e, y), getattr(op.attrs, "act", "none"))
    ends = [e.constant(f"int16/double{v}", np.float64(v)) for v in limits]
    half = e.constant("int16/half/double", np.float64(0.5))
    steps = e.node(
        "Mul", [acc, e.constant(f"{y}/multiplier", m.reshape(along))], f"{y}/steps", f"{op.name}/mul"
    )
    steps = e.node("Add", [steps, half], f"{y}/raised", f"{op.name}/raise")
    steps = e.node("Floor", [steps], f"{y}/whole", f"{op.name}/floor")
    steps = e.node("Clip", [steps, *ends], f"{y}/clipped", f"{op.name}/clip")
    e.node("Cast", [steps], e.value(y), op.name, {"to": int(TensorProto.FLOAT)})


def _digits(e: Emitter, x: str, y: str, bits: int) -> list[str]:
    """Signed digits of ``x`` in float32, the highest first; all divisions are by powers of two."""
    rest, found = x, list[str]()
    half = e.constant("int16/half", np.float32(0.5))
    base = e.constant(f"int16/base{bits}/float", np.float32(2**bits))
    inverse = e.constant(f"int16/inverse{bits}", np.float32(2.0**-bits))
    for i in range(-(-_BITS // bits) - 1):
        stem = f"{y}/digit{i}"
        scaled = e.node("Mul", [rest, inverse], f"{stem}/scaled", f"{stem}/scale")
        raised = e.node("Add", [scaled, half], f"{stem}/raised", f"{stem}/raise")
        above = e.node("Floor", [raised], f"{stem}/above", f"{stem}/floor")
        lower = e.node("Mul", [above, base], f"{stem}/lower", f"{stem}/back")
        found.append(e.node("Sub", [rest, lower], stem, f"{stem}/sub"))
        rest = above
    return [rest, *reversed(found)]


def _quantise(e: Emitter, op: Op) -> None:
    (x,), (y,) = op.inputs, op.outputs
    q_x, q_y = _quant(e, x), _quant(e, y)
    ratio = numerics16.whole_ratio(q_x, q_y)
    assert ratio is not None
    if q_y.bits == 16:
        wide = e.node("Cast", [e.value(x)], f"{y}/wide", f"{op.name}/cast", {"to": int(TensorProto.FLOAT)})
        zero = e.constant(f"int16/{q_x.zero_point}", np.float32(q_x.zero_point))
        centred = e.node("Sub", [wide, zero], f"{y}/centred", f"{op.name}/sub")
        steps = e.node(
            "Mul", [centred, e.constant(f"int16/{ratio}", np.float32(ratio))], f"{y}/steps", f"{op.name}/mul"
        )
        ends = [e.constant(f"int16/{v}", np.float32(v)) for v in (numerics16.LOWEST, numerics16.HIGHEST)]
        e.node("Clip", [steps, *ends], e.value(y), op.name)
        return
    zero = e.constant(f"int16/{q_y.zero_point}", np.float32(q_y.zero_point))
    ends = [e.constant(f"int16/{v}", np.float32(v)) for v in (-128, 127)]
    placed = e.node("Add", [e.value(x), zero], f"{y}/placed", f"{op.name}/add")
    clipped = e.node("Clip", [placed, *ends], f"{y}/clipped", f"{op.name}/clip")
    e.node("Cast", [clipped], e.value(y), op.name, {"to": int(TensorProto.INT8)})


def _kernel(data: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """ONNX's layout: [O,I,KH,KW], depthwise [C,1,KH,KW], and for MatMul [I,O]."""
    if data.ndim == 2:
        return np.asarray(data.T, np.float32)
    return np.asarray(data.transpose((3, 0, 1, 2) if axis == 3 else (0, 3, 1, 2)), np.float32)


def _quant(e: Emitter, name: str) -> QParams:
    quant = e.tensor(name).quant
    assert quant is not None
    return quant
