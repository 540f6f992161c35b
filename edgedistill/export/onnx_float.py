"""ONNX in float operators: a float32 graph, and form *qdq*, the same operators between Q and DQ nodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgedistill.export.onnx_emitter import Emitter, conv_attrs
from edgedistill.ir.graph import Op
from edgedistill.ir.ops import (
    Add,
    Concat,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool2D,
    Mul,
    Quantize,
    Reshape,
    Table,
)


def emit(e: Emitter, op: Op) -> None:
    """Writes one operator of a float32 graph, its activation included."""
    a, target = op.attrs, e.value(op.outputs[0])
    match a:
        case Reshape():
            return e.reshape(op)
        case Table():
            return _function(e, op, a, e.value(op.inputs[0]), target)
        case Conv2D() | DepthwiseConv2D() | FullyConnected():
            x, w, b = op.inputs
            bias = e.tensor(b).data
            assert bias is not None
            inputs = [e.value(x), e.weights(w), e.constant(b, bias)]
        case _:
            inputs = [e.value(x) for x in op.inputs]
    assert not isinstance(a, Quantize), f"{op.name}: QUANTIZE in a float graph"
    act = "none" if isinstance(a, MaxPool2D | Concat) else a.act
    linear = target if act == "none" else f"{op.outputs[0]}/linear"
    _plain(e, op, inputs, linear)
    if act == "relu":
        e.node("Relu", [linear], target, f"{op.name}/relu")
    elif act == "relu6":
        bounds = [e.constant("relu6/min", np.float32(0)), e.constant("relu6/max", np.float32(6))]
        e.node("Clip", [linear, *bounds], target, f"{op.name}/relu6")


def emit_qdq(e: Emitter, op: Op) -> None:
    """Writes one operator of an integer graph as DequantizeLinear, float operator, QuantizeLinear.

    Values between operators stay int8 under the graph's names. RESHAPE and TABLE stay integer.
    """
    a, (y,) = op.attrs, op.outputs
    match a:
        case Reshape():
            return e.reshape(op)
        case Table():
            return e.table(op)
        case Conv2D() | DepthwiseConv2D() | FullyConnected():
            x, w, b = op.inputs
            inputs = [_dequantised(e, x, op), _dequantised_weights(e, w), _dequantised_bias(e, b)]
        case _:
            inputs = [_dequantised(e, x, op) for x in op.inputs]
    real = _plain(e, op, inputs, f"{y}/float")
    e.node("QuantizeLinear", [real, *e.quant(y)], e.value(y), f"{op.name}/quantize")


def _plain(e: Emitter, op: Op, inputs: Sequence[str], output: str) -> str:
    """The float operator alone, on values already in NCHW."""
    match op.attrs:
        case Conv2D() | DepthwiseConv2D():
            return e.node("Conv", inputs, output, op.name, conv_attrs(e, op))
        case FullyConnected():
            return e.node("Gemm", inputs, output, op.name, {"transB": 1})
        case Add():
            return e.node("Add", inputs, output, op.name)
        case Mul():
            return e.node("Mul", inputs, output, op.name)
        case MaxPool2D():
            return e.node("MaxPool", inputs, output, op.name, e.pool(op))
        case Concat():
            return e.node("Concat", inputs, output, op.name, {"axis": e.concat_axis(op)})
        case _:
            raise AssertionError(f"{op.name}: {op.kind} is not printed as one float node")


def _dequantised(e: Emitter, x: str, op: Op) -> str:
    """One DequantizeLinear per consumer, which is how ONNX Runtime groups nodes into integer kernels."""
    inputs = [e.value(x), *e.quant(x)]
    output = f"{x}/for_{op.name}"
    if any(output in n.output for n in e.nodes):  # an operator that reads the same value twice
        return output
    return e.node("DequantizeLinear", inputs, output, f"{op.name}/dequantize_{x}")


def _dequantised_weights(e: Emitter, w: str) -> str:
    inputs = [e.weights(w), *e.weight_quant(w)]
    return _once(e, inputs, f"{w}/float", f"{w}/dequantize")


def _dequantised_bias(e: Emitter, b: str) -> str:
    t = e.tensor(b)
    assert t.data is not None and t.quant is not None
    scale = np.broadcast_to(t.quant.scale, t.data.shape)
    zero = e.constant(f"{b}/zero_point", np.zeros(t.data.shape, np.int32))
    inputs = [e.constant(b, t.data), e.constant(f"{b}/scale", scale), zero]
    return _once(e, inputs, f"{b}/float", f"{b}/dequantize")


def _once(e: Emitter, inputs: Sequence[str], output: str, name: str) -> str:
    if any(output in n.output for n in e.nodes):  # weights that two layers share
        return output
    return e.node("DequantizeLinear", inputs, output, name, {"axis": 0})


def _function(e: Emitter, op: Op, a: Table, x: str, y: str) -> None:
    """A unary function in opset 17, which has no Gelu and no SiLU."""
    name = op.name
    match a.fn:
        case "sigmoid":
            e.node("Sigmoid", [x], y, name)
        case "tanh":
            e.node("Tanh", [x], y, name)
        case "elu":
            e.node("Elu", [x], y, name, {"alpha": a.alpha})
        case "leaky_relu":
            e.node("LeakyRelu", [x], y, name, {"alpha": a.alpha})
        case "hardswish":
            e.node("HardSwish", [x], y, name)
        case "hardsigmoid":
            e.node("HardSigmoid", [x], y, name, {"alpha": 1 / 6, "beta": 0.5})
        case "silu":
            gate = e.node("Sigmoid", [x], f"{y}/gate", f"{name}/sigmoid")
            e.node("Mul", [x, gate], y, name)
        case "gelu":  # x/2 * (1 + erf(x / sqrt 2)), Hendrycks and Gimpel 2016, section 2
            inner = e.node(
                "Mul", [x, e.constant("gelu/inverse_root", np.float32(0.5**0.5))], f"{y}/in", f"{name}/in"
            )
            erf = e.node("Erf", [inner], f"{y}/erf", f"{name}/erf")
            one = e.node("Add", [erf, e.constant("gelu/one", np.float32(1))], f"{y}/one", f"{name}/one")
            half = e.node("Mul", [x, e.constant("gelu/half", np.float32(0.5))], f"{y}/half", f"{name}/half")
            e.node("Mul", [half, one], y, name)
