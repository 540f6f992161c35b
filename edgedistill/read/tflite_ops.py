"""Says what each builtin operator of TFLite is in the graph: one function per kind.

Unary functions that TFLite's kernels approximate become tables of the correctly rounded
function, so they are off by one where a kernel is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from edgedistill.export.tflite_printer import same_pads
from edgedistill.ir import ops
from edgedistill.ir.interpret import apply_function
from edgedistill.read.assemble import FileAct, Unsupported, clamp_range, dilated
from edgedistill.read.tflite_file import FileOp, FileTensor
from edgedistill.read.tflite_moves import MOVES, is_index, move
from edgedistill.read.tflite_state import State

Handler = Callable[[State, FileOp], None]

_SAME, _VALID = 0, 1  # schema: Padding


def _window(
    state: State, op: FileOp, kernel: ops.Pair, dilation: ops.Pair = (1, 1), value: int | None = None
) -> tuple[str, ops.Pair, ops.Pads]:
    """Input, stride and explicit pads; a PAD before it is taken along."""
    x, before = state.x_padded(op, value)
    h, w, _ = state.image(x)
    stride = int(op.options["StrideH"]), int(op.options["StrideW"])
    if min(*stride, *kernel, *dilation) < 1:
        raise Unsupported(f"stride {stride}, kernel {kernel}, dilation {dilation}")
    reach = (kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1
    padding = int(op.options["Padding"])
    t, b, le, r = pads = before
    if padding not in (_SAME, _VALID):
        raise Unsupported(f"padding number {padding}")
    if padding == _VALID and (reach[0] > h + t + b or reach[1] > w + le + r):
        raise Unsupported(f"its kernel {kernel} is larger than its input {h} x {w}")
    if padding == _SAME:
        above, below = same_pads(h + t + b, reach[0], stride[0])
        ahead, behind = same_pads(w + le + r, reach[1], stride[1])
        pads = (t + above, b + below, le + ahead, r + behind)
    return x, stride, pads


def _weights(state: State, op: FileOp, rank: int) -> tuple[FileTensor, NDArray[np.int8]]:
    tensor = state.tensor(op, 1)
    if tensor.data is None:
        raise Unsupported(f"its weights {tensor.name!r} are not constant")
    if tensor.dtype != "INT8":
        raise Unsupported(f"its weights are {tensor.dtype.lower()}, not int8")
    if tensor.zero_point.any():
        raise Unsupported("its weights are asymmetric (a zero point that is not 0)")
    if tensor.data.ndim != rank:
        raise Unsupported(f"its weights are {list(tensor.shape)}")
    if not len(tensor.scale) or (tensor.scale <= 0).any():
        raise Unsupported("its weights have no positive scale")
    return tensor, tensor.data


def _bias(state: State, op: FileOp, x: str, w: str) -> str:
    if len(op.inputs) < 3 or op.inputs[2] < 0:
        return state.a.bias(f"{w}.bias", None, x, w, None)
    tensor = state.tensor(op, 2)
    if tensor.data is None or tensor.dtype != "INT32":
        raise Unsupported(f"its bias {tensor.name!r} is {tensor.dtype.lower()}, not constant int32")
    return state.a.bias(tensor.name, tensor.data, x, w, tensor.scale)


def _dilation(op: FileOp) -> ops.Pair:
    return int(op.options["DilationHFactor"]), int(op.options["DilationWFactor"])


def _conv(state: State, op: FileOp) -> None:
    tensor, data = _weights(state, op, 4)
    x, stride, pads = _window(state, op, data.shape[1:3], _dilation(op))
    channels = state.a.shape(x)[3]
    if data.shape[3] != channels:
        raise Unsupported(f"groups: its kernel reads {data.shape[3]} of {channels} channels")
    w = state.a.weights(tensor.name, dilated(data, _dilation(op)), tensor.scale, 0)
    attrs = ops.Conv2D(stride, pads)
    state.a.emit_act(attrs, (x, w, _bias(state, op, x, w)), state.output(op), state.act(op))


def _depthwise(state: State, op: FileOp) -> None:
    tensor, data = _weights(state, op, 4)
    x, stride, pads = _window(state, op, data.shape[1:3], _dilation(op))
    channels = state.a.shape(x)[3]
    data = dilated(data, _dilation(op))
    attrs: ops.Conv2D | ops.DepthwiseConv2D
    if data.shape[3] == channels:
        plain = not any(pads) and op.options["FusedActivationFunction"] == 0 and bool((data == 127).all())
        attrs = ops.DepthwiseConv2D(stride, pads)
        w = state.a.weights(tensor.name, data, tensor.scale, 3)
        b = _bias(state, op, x, w)
        bias = state.a.tensors[b].data
        if plain and bias is not None and np.abs(bias).max() <= 1:  # pooling is printed so: not learned
            attrs = ops.DepthwiseConv2D(stride, pads, constant=True)
    elif channels == 1:  # every output channel reads the one there is
        attrs = ops.Conv2D(stride, pads)
        w = state.a.weights(tensor.name, np.ascontiguousarray(data.transpose(3, 1, 2, 0)), tensor.scale, 0)
        b = _bias(state, op, x, w)
    else:
        raise Unsupported(f"a depth multiplier: {data.shape[3]} outputs of {channels} channels")
    state.a.emit_act(attrs, (x, w, b), state.output(op), state.act(op))


def _dense(state: State, op: FileOp) -> None:
    tensor, data = _weights(state, op, 2)
    if op.options["WeightsFormat"]:
        raise Unsupported("its weights are shuffled")
    x, y = state.x(op), state.output(op)
    if state.a.shape(x) != (1, data.shape[1]):
        if np.prod(state.a.shape(x)) != data.shape[1]:
            raise Unsupported(f"its input {list(state.a.shape(x))} is not one vector of {data.shape[1]}")
        x = state.a.reshape(x, (1, data.shape[1]), f"{y}/flat")
    w = state.a.weights(tensor.name, data, tensor.scale, 0)
    inputs = x, w, _bias(state, op, x, w)
    if state.a.shape(y) == (1, len(data)):
        state.a.emit_act(ops.FullyConnected(), inputs, y, state.act(op))
        return
    flat = state.a.activation(state.a.unique(f"{y}/vector"), (1, len(data)), state.a.quant(y))
    state.a.emit_act(ops.FullyConnected(), inputs, flat, state.act(op))
    state.a.emit(ops.Reshape(), (flat,), y)


def _add(state: State, op: FileOp) -> None:
    if is_index(state, op):
        return
    y = state.output(op)
    inputs = sorted(
        (state.operand(op, i, state.a.shape(y)) for i in (0, 1)), key=lambda n: _constant(state, n)
    )
    if any(state.a.shape(n) != state.a.shape(y) for n in inputs):
        raise Unsupported(f"shapes {[list(state.a.shape(n)) for n in inputs]} are not equal")
    if all(_constant(state, n) for n in inputs):
        raise Unsupported("both operands are constants")
    state.a.emit_act(ops.Add(), inputs, y, state.act(op))


def _mul(state: State, op: FileOp) -> None:
    y = state.output(op)
    shape = state.a.shape(y)
    inputs = [state.operand(op, i, shape) for i in (0, 1)]
    if state.a.shape(inputs[0]) != shape or (_constant(state, inputs[0]) and not _constant(state, inputs[1])):
        inputs.reverse()  # the gate, or the constant, comes second
    gate = len(shape) == 4 and state.a.shape(inputs[1]) == (1, 1, 1, shape[3])
    if state.a.shape(inputs[0]) != shape or not (gate or state.a.shape(inputs[1]) == shape):
        raise Unsupported(f"shapes {[list(state.a.shape(n)) for n in inputs]} are neither equal nor a gate")
    if _constant(state, inputs[0]):
        raise Unsupported("both operands are constants")
    state.a.emit_act(ops.Mul(), inputs, y, state.act(op))


def _constant(state: State, name: str) -> bool:
    return state.a.tensors[name].data is not None


def _average_pool(state: State, op: FileOp) -> None:
    kernel = int(op.options["FilterHeight"]), int(op.options["FilterWidth"])
    before = state.padded.get(op.inputs[0]) if op.inputs else None
    x, stride, pads = _window(state, op, kernel)
    if pads != (before.pads if before else (0, 0, 0, 0)):
        raise Unsupported("SAME padding: at the border it averages over fewer values")
    y = state.output(op)
    low, high = clamp_range(state.act(op), state.a.quant(y))
    whole = (low, high) == (-128, 127)
    target = y if whole else state.a.like(f"{y}/before_act", y)
    state.a.average(x, target, kernel, stride, pads, _nudge(kernel, state.a.quant(x).zero_point))
    if not whole:
        state.a.clip(target, y, low, high)


def _nudge(kernel: ops.Pair, zero_point: int) -> int:
    """Where averages that lie on a half go.

    TFLite's kernels round them away from the int8 value 0. Averages of real numbers near zero lie on the
    side of the zero point; an average on the other side is off by one in a tie. Odd kernels have no ties.
    """
    return int(np.sign(zero_point)) if kernel[0] * kernel[1] % 2 == 0 else 0


def _mean(state: State, op: FileOp) -> None:
    x = state.x(op)
    h, w, c = state.image(x)
    axes = sorted({axis % 4 for axis in state.constant_ints(op, 1)})
    if axes != [1, 2]:
        raise Unsupported(f"axes {axes}, not height and width (1, 2)")
    y = state.output(op)
    if len(state.a.shape(y)) == 4:
        state.a.average(x, y, (h, w), (1, 1))
        return
    pooled = state.a.activation(state.a.unique(f"{y}/mean"), (1, 1, 1, c), state.a.quant(y))
    state.a.average(x, pooled, (h, w), (1, 1))
    state.a.emit(ops.Reshape(), (pooled,), y)


def _max_pool(state: State, op: FileOp) -> None:
    kernel = int(op.options["FilterHeight"]), int(op.options["FilterWidth"])
    x, stride, pads = _window(state, op, kernel, value=-128)
    y = state.output(op)
    low, high = clamp_range(state.act(op), state.a.quant(y))
    whole = (low, high) == (-128, 127)
    target = y if whole else state.a.like(f"{y}/before_act", y)
    move(
        state, x, target, lambda source: state.a.emit(ops.MaxPool2D(kernel, stride, pads), (source,), target)
    )
    if not whole:
        state.a.clip(target, y, low, high)


def _unary(fn: ops.Function) -> Handler:
    def handle(state: State, op: FileOp) -> None:
        x, y = state.x(op), state.output(op)
        alpha = {"leaky_relu": float(op.options.get("Alpha", 0.0)), "elu": 1.0}.get(fn, 0.0)
        attrs = ops.Table(fn, alpha)
        state.a.function(x, y, lambda real: apply_function(attrs, real), attrs)

    return handle


def _clip(act: FileAct) -> Handler:
    """RELU and its like as operators of their own."""

    def handle(state: State, op: FileOp) -> None:
        x, y = state.x(op), state.output(op)
        low, high = {"relu": (0.0, np.inf), "relu6": (0.0, 6.0), "relu_n1_to_1": (-1.0, 1.0)}[act]
        state.a.function(x, y, lambda real: np.clip(real, low, high), ops.Table("lookup"))

    return handle


HANDLERS: Mapping[str, Handler] = {
    **MOVES,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "ADD": _add,
    "MUL": _mul,
    "AVERAGE_POOL_2D": _average_pool,
    "MEAN": _mean,
    "MAX_POOL_2D": _max_pool,
    "LOGISTIC": _unary("sigmoid"),
    "TANH": _unary("tanh"),
    "GELU": _unary("gelu"),
    "HARD_SWISH": _unary("hardswish"),
    "ELU": _unary("elu"),
    "LEAKY_RELU": _unary("leaky_relu"),
    "RELU": _clip("relu"),
    "RELU6": _clip("relu6"),
    "RELU_N1_TO_1": _clip("relu_n1_to_1"),
}
"""Every operator that can be read; all others are listed as unsupported."""
