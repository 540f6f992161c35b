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
from edgedistill.read.functions import function_of
from edgedistill.read.tflite_file import FileOp, FileTensor
from edgedistill.read.tflite_state import Padded, State

Handler = Callable[[State, FileOp], None]

_ACTS: Mapping[int, FileAct] = {
    0: "none",
    1: "relu",
    2: "relu_n1_to_1",
    3: "relu6",
}  # schema: ActivationFunctionType
_SAME, _VALID = 0, 1  # schema: Padding


def _act(op: FileOp) -> FileAct:
    act = _ACTS.get(int(op.options["FusedActivationFunction"]))
    if act is None:
        raise Unsupported("its fused activation is none of RELU, RELU6, RELU_N1_TO_1")
    return act


def _image(state: State, x: str) -> tuple[int, int, int]:
    """Height, width, channels."""
    shape = state.a.shape(x)
    if len(shape) != 4:
        raise Unsupported(f"its input {list(shape)} is not [1,H,W,C]")
    return shape[1], shape[2], shape[3]


def _window(
    state: State, op: FileOp, kernel: ops.Pair, dilation: ops.Pair = (1, 1), value: int | None = None
) -> tuple[str, ops.Pair, ops.Pads]:
    """Input, stride and explicit pads; a PAD before it is taken along."""
    x, before = state.x_padded(op, value)
    h, w, _ = _image(state, x)
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
    state.a.emit_act(attrs, (x, w, _bias(state, op, x, w)), state.output(op), _act(op))


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
    state.a.emit_act(attrs, (x, w, b), state.output(op), _act(op))


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
        state.a.emit_act(ops.FullyConnected(), inputs, y, _act(op))
        return
    flat = state.a.activation(state.a.unique(f"{y}/vector"), (1, len(data)), state.a.quant(y))
    state.a.emit_act(ops.FullyConnected(), inputs, flat, _act(op))
    state.a.emit(ops.Reshape(), (flat,), y)


def _add(state: State, op: FileOp) -> None:
    if _is_index(state, op):
        return
    y = state.output(op)
    inputs = sorted(
        (state.operand(op, i, state.a.shape(y)) for i in (0, 1)), key=lambda n: _constant(state, n)
    )
    if any(state.a.shape(n) != state.a.shape(y) for n in inputs):
        raise Unsupported(f"shapes {[list(state.a.shape(n)) for n in inputs]} are not equal")
    if all(_constant(state, n) for n in inputs):
        raise Unsupported("both operands are constants")
    state.a.emit_act(ops.Add(), inputs, y, _act(op))


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
    state.a.emit_act(ops.Mul(), inputs, y, _act(op))


def _constant(state: State, name: str) -> bool:
    return state.a.tensors[name].data is not None


def _average_pool(state: State, op: FileOp) -> None:
    kernel = int(op.options["FilterHeight"]), int(op.options["FilterWidth"])
    before = state.padded.get(op.inputs[0]) if op.inputs else None
    x, stride, pads = _window(state, op, kernel)
    if pads != (before.pads if before else (0, 0, 0, 0)):
        raise Unsupported("SAME padding: at the border it averages over fewer values")
    y = state.output(op)
    low, high = clamp_range(_act(op), state.a.quant(y))
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
    h, w, c = _image(state, x)
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
    low, high = clamp_range(_act(op), state.a.quant(y))
    whole = (low, high) == (-128, 127)
    target = y if whole else state.a.like(f"{y}/before_act", y)
    _move(
        state, x, target, lambda source: state.a.emit(ops.MaxPool2D(kernel, stride, pads), (source,), target)
    )
    if not whole:
        state.a.clip(target, y, low, high)


def _move(state: State, x: str, y: str, emit: Callable[[str], None]) -> None:
    """An operator that only moves values: requantised before it where its scales are not equal."""
    if not state.a.moves(x, y):
        scaled = state.a.activation(state.a.unique(f"{y}/scaled"), state.a.shape(x), state.a.quant(y))
        state.a.requantise(x, scaled)
        x = scaled
    emit(x)


def _concat(state: State, op: FileOp) -> None:
    y = state.output(op)
    inputs: list[str] = []
    rank = len(state.a.shape(y))
    axis = int(op.options["Axis"])
    if _act(op) != "none" or axis % rank == 0 or not -rank <= axis < rank:
        raise Unsupported(f"axis {axis} with activation {_act(op)}")
    for position in range(len(op.inputs)):
        x = state.x(op, position)
        _move(state, x, y, inputs.append)
    state.a.emit(ops.Concat(axis % rank), inputs, y)


def _reshape(state: State, op: FileOp) -> None:
    x, y = state.x(op), state.output(op)
    if np.prod(state.a.shape(x)) != np.prod(state.a.shape(y)):
        raise Unsupported(f"{list(state.a.shape(x))} cannot become {list(state.a.shape(y))}")
    _move(state, x, y, lambda source: state.a.emit(ops.Reshape(), (source,), y))


def _pad(state: State, op: FileOp) -> None:
    x = state.x(op)
    _image(state, x)
    amounts = state.constant_ints(op, 1)
    if len(amounts) != 8 or min(amounts) < 0 or amounts[:2] != [0, 0] or amounts[6:] != [0, 0]:
        raise Unsupported(f"amounts {amounts}: only height and width can be padded")
    value = state.a.quant(x).zero_point
    if op.kind == "PADV2":
        tensor = state.tensor(op, 2)
        if tensor.data is None or tensor.dtype != "INT8" or tensor.data.size != 1:
            raise Unsupported("its value is no int8 constant")
        value = int(tensor.data.reshape(-1)[0])
    top, bottom, left, right = amounts[2:6]
    h, w, c = _image(state, x)
    wanted = (h + top + bottom, w + left + right, c)
    if state.file.tensors[op.outputs[0]].shape[1:] != wanted or max(amounts) > 4096:
        raise Unsupported(f"amounts {amounts} do not give {list(state.file.tensors[op.outputs[0]].shape)}")
    state.padded[op.outputs[0]] = Padded(x, (top, bottom, left, right), value)


def _softmax(state: State, op: FileOp) -> None:
    if not state.leads_out(op.outputs[0]):
        raise Unsupported(
            "a softmax that is not the last operator; no int8 form of it is the same in all runtimes"
        )
    x = state.x(op)
    state.alias[op.outputs[0]] = x
    state.a.note_softmax(x)


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


def _cast(state: State, op: FileOp) -> None:
    if state.file.tensors[op.outputs[0]].dtype != "INT32":
        raise Unsupported("only to int32, as the index of a table")
    state.wide[op.outputs[0]] = state.x(op)


def _is_index(state: State, op: FileOp) -> bool:
    """An int32 ADD of 128: the second step of CAST, ADD 128, GATHER."""
    source = next((state.wide[i] for i in op.inputs if i in state.wide), None)
    if source is None:
        return False
    constants = [state.file.tensors[i].data for i in op.inputs if i >= 0 and i not in state.wide]
    if len(constants) != 1 or constants[0] is None or constants[0].reshape(-1).tolist() != [128]:
        raise Unsupported("int32, and not the index of a table of 256 entries")
    state.index[op.outputs[0]] = source
    return True


def _gather(state: State, op: FileOp) -> None:
    table = state.tensor(op, 0)
    source = state.index.get(op.inputs[1]) if len(op.inputs) > 1 else None
    fits = table.data is not None and table.dtype == "INT8" and table.shape == (256,)
    if source is None or not fits or op.options["Axis"] or op.options["BatchDims"]:
        raise Unsupported("not a table of 256 int8 entries read at CAST + 128")
    assert table.data is not None
    y = state.output(op)
    quant, quant_y = state.quant(op.inputs[0]) if len(table.scale) else None, state.a.quant(y)
    name = state.a.constant(table.name, table.data, quant)
    state.a.emit(ops.Table(function_of(table.data, state.a.quant(source), quant_y)), (source, name), y)


def _quantize(state: State, op: FileOp) -> None:
    source, target = state.tensor(op, 0), state.file.tensors[op.outputs[0]]
    if op.inputs[0] in state.file.inputs and source.dtype in ("FLOAT32", "UINT8"):
        _enter(state, op, source)
    elif target.dtype == "INT8":
        x, y = state.x(op), state.output(op)
        state.a.requantise(x, y)
    elif state.is_last(op.outputs[0]):
        _leave(state, op)
    else:
        raise Unsupported(f"from {source.dtype.lower()} to {target.dtype.lower()} inside the network")


def _enter(state: State, op: FileOp, source: FileTensor) -> None:
    y = state.output(op)
    q = state.a.quant(y)
    if op.inputs[0] in state.entered:
        raise Unsupported(f"the input {source.name!r} is quantised a second time")
    state.entered[op.inputs[0]] = y
    how = f"round(x / {float(q.scale[0]):.9g}) + {q.zero_point}"
    if source.dtype == "UINT8":
        own = source.scale[0] if len(source.scale) else np.float32(0)
        zero = int(source.zero_point[0]) if len(source.zero_point) else 0
        if own != q.scale[0] or zero != q.zero_point + 128:
            raise Unsupported("the uint8 input has another scale than the int8 network behind it")
        how = "x - 128"
    state.a.notes.append(f"the file's {source.dtype.lower()} input x becomes int8: q = {how}")


def _leave(state: State, op: FileOp) -> None:
    """QUANTIZE or DEQUANTIZE as the last operator: the network ends before it."""
    if not state.is_last(op.outputs[0]):
        raise Unsupported("inside the network: what follows is computed in float32")
    x = state.x(op)
    state.alias[op.outputs[0]] = x
    q, outside = state.a.quant(x), state.file.tensors[op.outputs[0]].dtype.lower()
    how = f"{float(q.scale[0]):.9g} * (q - {q.zero_point})" if outside == "float32" else "q + 128"
    state.a.notes.append(f"the file's {outside} output is left int8: it was {how}")


HANDLERS: Mapping[str, Handler] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "ADD": _add,
    "MUL": _mul,
    "AVERAGE_POOL_2D": _average_pool,
    "MEAN": _mean,
    "MAX_POOL_2D": _max_pool,
    "CONCATENATION": _concat,
    "RESHAPE": _reshape,
    "SQUEEZE": _reshape,
    "EXPAND_DIMS": _reshape,
    "PAD": _pad,
    "PADV2": _pad,
    "SOFTMAX": _softmax,
    "LOGISTIC": _unary("sigmoid"),
    "TANH": _unary("tanh"),
    "GELU": _unary("gelu"),
    "HARD_SWISH": _unary("hardswish"),
    "ELU": _unary("elu"),
    "LEAKY_RELU": _unary("leaky_relu"),
    "RELU": _clip("relu"),
    "RELU6": _clip("relu6"),
    "RELU_N1_TO_1": _clip("relu_n1_to_1"),
    "CAST": _cast,
    "GATHER": _gather,
    "QUANTIZE": _quantize,
    "DEQUANTIZE": _leave,
}
"""Every operator that can be read; all others are listed as unsupported."""
