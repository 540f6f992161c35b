"""ONNX, form *qlinear*: integer operators, bit-identical in ONNX Runtime at every level and on every CPU."""

from __future__ import annotations

from edgedistill.export import onnx_int16
from edgedistill.export.onnx_emitter import MICROSOFT, Emitter, conv_attrs
from edgedistill.ir.graph import Op
from edgedistill.ir.ops import (
    Add,
    Concat,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool2D,
    Mul,
    Reshape,
    Table,
)


def emit(e: Emitter, op: Op) -> None:
    """Writes one operator of an integer graph. Activations (ReLU) are in the output's zero point already."""
    a, (y,) = op.attrs, op.outputs
    target = e.value(y)
    if e.graph.is_int16(op) and not isinstance(a, Reshape):
        onnx_int16.emit(e, op)
        return
    match a:
        case Conv2D() | DepthwiseConv2D():
            x, w, b = op.inputs
            inputs = [e.value(x), *e.quant(x), e.weights(w), *e.weight_quant(w), *e.quant(y), _bias(e, b)]
            e.node("QLinearConv", inputs, target, op.name, conv_attrs(e, op))
        case FullyConnected():
            x, w, b = op.inputs
            inputs = [e.value(x), *e.quant(x), e.weights(w), *e.weight_quant(w), _bias(e, b), *e.quant(y)]
            e.node("QGemm", inputs, target, op.name, {"transB": 1}, MICROSOFT)
        case Add() | Mul():
            operands = [name for x in op.inputs for name in (e.value(x), *e.quant(x))]
            kind = "QLinearAdd" if isinstance(a, Add) else "QLinearMul"
            e.node(kind, [*operands, *e.quant(y)], target, op.name, domain=MICROSOFT)
        case MaxPool2D():
            e.node("MaxPool", [e.value(op.inputs[0])], target, op.name, e.pool(op))
        case Concat():
            e.node("Concat", [e.value(x) for x in op.inputs], target, op.name, {"axis": e.concat_axis(op)})
        case Reshape():
            e.reshape(op)
        case Table():
            e.table(op)


def _bias(e: Emitter, name: str) -> str:
    data = e.tensor(name).data
    assert data is not None and data.dtype.name == "int32", f"{name}: an integer graph's bias is int32"
    return e.constant(name, data)
