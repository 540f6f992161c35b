"""Says what each ONNX operator is in the graph, as a float operator between Q and DQ or as a QLinear one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edgedistill.export.tflite_printer import same_pads
from edgedistill.ir import ops
from edgedistill.ir.interpret import apply_function
from edgedistill.read.assemble import FileAct, Unsupported, clamp_range, dilated, parameters
from edgedistill.read.onnx_file import Node
from edgedistill.read.onnx_moves import MOVES, moved
from edgedistill.read.onnx_state import Int8, Pending, Real, State, Weights, Where, with_act

Handler = Callable[[State, Node], None]


def _qlinear_weights(state: State, node: Node, position: int) -> Weights:
    """A constant with its scale and zero point as three inputs in a row."""
    name, scale, zero = (node.input(position + i) for i in range(3))
    arrays = [state.file.constants.get(n) for n in (name, scale, zero)]
    if arrays[0] is None or arrays[1] is None or arrays[2] is None:
        raise Unsupported(f"the weights {name!r} or their scales are not constant")
    return Weights(name, arrays[0], np.asarray(arrays[1], np.float32).reshape(-1), arrays[2])


def _checked(w: Weights, rank: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """int8 data and scales of symmetric weights."""
    if w.scale is None or w.data.dtype != np.int8:
        raise Unsupported(f"its weights {w.name!r} are {w.data.dtype.name}, not int8")
    if w.zero_point.any():
        raise Unsupported("its weights are asymmetric (a zero point that is not 0)")
    if w.data.ndim != rank:
        raise Unsupported(f"its weights are {list(w.data.shape)}")
    if not len(w.scale) or not np.isfinite(w.scale).all() or (w.scale <= 0).any():
        raise Unsupported("its weights have no positive scale")
    return w.data, w.scale


def _bias(state: State, name: str, x: str, w: str) -> str:
    """The bias of scale ``s_x * s_w``: int32 as it stands, float32 rounded."""
    if not name:
        return state.a.bias(f"{w}.bias", None, x, w, None)
    found = state.constant(name)
    data = found.data.reshape(-1) if found.data.ndim > 1 and found.data.shape[0] == 1 else found.data
    if data.dtype == np.int32 and not found.zero_point.any():
        return state.a.bias(found.name, data, x, w, found.scale)
    if data.dtype != np.float32 or found.scale is not None:
        raise Unsupported(f"its bias {name!r} is {data.dtype.name}, not int32")
    s_w = state.a.tensors[w].quant
    assert s_w is not None
    real = data / np.asarray(state.a.quant(x).scale * s_w.scale, np.float64)
    if not (np.abs(real) < 2**31).all():
        raise Unsupported(f"its bias {name!r} is beyond int32 at this scale")
    return state.a.bias(found.name, np.rint(real).astype(np.int32), x, w, None)


def _image(state: State, x: Int8) -> tuple[int, int, int]:
    """Height, width, channels of an NCHW value."""
    shape = state.a.shape(x.name)
    if len(shape) != 4 or x.at.layout != "nchw":
        raise Unsupported(f"its input {list(shape)} is no image in NCHW")
    return shape[1], shape[2], shape[3]


def _window(
    state: State, node: Node, x: Int8, kernel: tuple[int, ...]
) -> tuple[ops.Pair, ops.Pads, ops.Pair, tuple[int, int]]:
    """Stride, explicit pads, dilation, and the output's height and width."""
    h, w, _ = _image(state, x)
    stride, dilation = node.ints("strides", (1, 1)), node.ints("dilations", (1, 1))
    pads = node.ints("pads", (0, 0, 0, 0))
    if not len(kernel) == len(stride) == len(dilation) == 2 or len(pads) != 4 or node.number("ceil_mode", 0):
        raise Unsupported("a window that is not two-dimensional, or ceil_mode")
    if min(*kernel, *stride, *dilation) < 1 or min(pads) < 0 or max(*kernel, *pads) > 4096:
        raise Unsupported(f"kernel {kernel}, stride {stride}, dilation {dilation}, pads {pads}")
    top, left, bottom, right = pads
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    auto = node.text("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        vertical, horizontal = same_pads(h, reach[0], stride[0]), same_pads(w, reach[1], stride[1])
        step = 1 if auto == "SAME_UPPER" else -1
        (top, bottom), (left, right) = vertical[::step], horizontal[::step]
    elif auto == "VALID":
        top = left = bottom = right = 0
    elif auto != "NOTSET":
        raise Unsupported(f"auto_pad {auto}")
    size = (h + top + bottom - reach[0]) // stride[0] + 1, (w + left + right - reach[1]) // stride[1] + 1
    if min(size) < 1:
        raise Unsupported(f"the kernel {kernel} is larger than its padded input")
    return (stride[0], stride[1]), (top, bottom, left, right), (dilation[0], dilation[1]), size


def _conv(state: State, node: Node) -> None:
    _convolve(state, node, state.int8(node.input(0)), state.constant(node.input(1)), node.input(2))


def _qlinear_conv(state: State, node: Node) -> None:
    _convolve(state, node, state.int8(node.input(0)), _qlinear_weights(state, node, 3), node.input(8))


def _convolve(state: State, node: Node, x: Int8, weights: Weights, bias: str) -> None:
    data, scale = _checked(weights, 4)
    channels, group = _image(state, x)[2], int(node.number("group", 1))
    stride, pads, dilation, size = _window(state, node, x, data.shape[2:])
    attrs: ops.Conv2D | ops.DepthwiseConv2D
    if group == 1 and data.shape[1] == channels:
        attrs, laid, axis = ops.Conv2D(stride, pads), data.transpose(0, 2, 3, 1), 0
    elif group == channels == data.shape[0] and data.shape[1] == 1:
        attrs, laid, axis = ops.DepthwiseConv2D(stride, pads), data.transpose(1, 2, 3, 0), 3
    else:
        raise Unsupported(f"{group} groups: weights {list(data.shape)} on {channels} channels")
    w = state.a.weights(weights.name, dilated(np.ascontiguousarray(laid), dilation), scale, axis)
    b = _bias(state, bias, x.name, w)
    emit = partial(_emit_act, state, attrs, (x.name, w, b))
    state.give(node, Pending((1, *size, data.shape[0]), Where("nchw"), emit))


def _emit_act(
    state: State,
    attrs: ops.Conv2D | ops.DepthwiseConv2D | ops.FullyConnected | ops.Add | ops.Mul,
    inputs: tuple[str, ...],
    y: str,
    act: FileAct,
) -> None:
    state.a.emit_act(attrs, inputs, y, act)


def _gemm(state: State, node: Node) -> None:
    _product(state, node, state.constant(node.input(1)), node.input(2))


def _qgemm(state: State, node: Node) -> None:
    _product(state, node, _qlinear_weights(state, node, 3), node.input(6))


def _matmul(state: State, node: Node) -> None:
    if state.is_constant(node.input(0)) or not state.is_constant(node.input(1)):
        raise Unsupported("a product of two activations, or with the weights first")
    _product(state, node, state.constant(node.input(1)), "")


def _qlinear_matmul(state: State, node: Node) -> None:
    _product(state, node, _qlinear_weights(state, node, 3), "")


def _product(state: State, node: Node, weights: Weights, bias: str) -> None:
    """A fully connected layer; a vector in the order (C, H, W) permutes its weights instead."""
    if node.number("transA", 0) or node.number("alpha", 1) != 1 or node.number("beta", 1) != 1:
        raise Unsupported("transA, alpha or beta")
    x = state.int8(node.input(0))
    data, scale = _checked(weights, 2)
    data = data if node.number("transB", 0) else data.T  # -> [O, I]
    if state.a.shape(x.name) != (1, data.shape[1]):
        raise Unsupported(f"its input {list(state.a.shape(x.name))} is not one vector of {data.shape[1]}")
    if x.at.chw is not None:
        c, h, w = x.at.chw
        data = data.reshape(-1, c, h, w).transpose(0, 2, 3, 1).reshape(len(data), -1)
    name = state.a.weights(weights.name, np.ascontiguousarray(data), scale, 0)
    b = _bias(state, bias, x.name, name)
    emit = partial(_emit_act, state, ops.FullyConnected(), (x.name, name, b))
    state.give(node, Pending((1, len(data)), Where(), emit))


def _two(state: State, node: Node) -> None:
    """Add and Mul of float values between Q and DQ, or the int32 Add before a table."""
    if node.kind == "Add" and moved(state, node):
        return
    found = [state.constant(n) if state.is_constant(n) else state.int8(n) for n in node.inputs[:2]]
    _combine(state, node, found)


def _qlinear_two(state: State, node: Node) -> None:
    found: list[Int8 | Weights] = []
    for position in (0, 3):
        constant = node.input(position) in state.file.constants
        found.append(
            _qlinear_weights(state, node, position) if constant else state.int8(node.input(position))
        )
    _combine(state, node, found)


def _combine(state: State, node: Node, found: list[Int8 | Weights]) -> None:
    attrs = ops.Add() if node.kind.endswith("Add") else ops.Mul()
    values = [v for v in found if isinstance(v, Int8)]
    if not values:
        raise Unsupported("both operands are constants")
    largest = max(values, key=lambda v: int(np.prod(state.a.shape(v.name))))
    shape = state.a.shape(largest.name)
    if any(v.at != largest.at for v in values):
        raise Unsupported("its operands lie differently in memory (NHWC and NCHW)")
    names = [v.name if isinstance(v, Int8) else _operand(state, v, largest) for v in found]
    names.sort(key=lambda n: (state.a.tensors[n].data is not None, state.a.shape(n) != shape))
    gate = len(shape) == 4 and state.a.shape(names[1]) == (1, 1, 1, shape[3]) and isinstance(attrs, ops.Mul)
    if state.a.shape(names[1]) != shape and not gate:
        raise Unsupported(f"shapes {[list(state.a.shape(n)) for n in names]} are not equal")
    state.give(node, Pending(shape, largest.at, partial(_emit_act, state, attrs, tuple(names))))


def _operand(state: State, w: Weights, beside: Int8) -> str:
    """A constant operand, spread to the shape of the value beside it."""
    if w.scale is None or w.data.dtype != np.int8 or len(w.scale) != 1 or w.zero_point.size != 1:
        raise Unsupported(f"the constant {w.name!r} is not int8 with one scale")
    if beside.at.chw is not None:
        raise Unsupported("a constant beside a flattened image")
    shape = state.a.shape(beside.name)
    if beside.at.layout == "nchw":
        shape = (shape[0], shape[3], shape[1], shape[2])
    try:
        data = np.broadcast_to(w.data, shape)
    except ValueError:
        raise Unsupported(f"{w.name!r} {list(w.data.shape)} does not fit {list(shape)}") from None
    if beside.at.layout == "nchw":
        data = data.transpose(0, 2, 3, 1)
    quant = parameters(w.scale, int(w.zero_point.reshape(-1)[0]))
    return state.a.constant(w.name, np.ascontiguousarray(data), quant)


def _average(state: State, node: Node) -> None:
    x = state.int8(node.input(0))
    kernel = node.ints("kernel_shape")
    stride, pads, dilation, size = _window(state, node, x, kernel)
    if (any(pads) and not node.number("count_include_pad", 0)) or dilation != (1, 1):
        raise Unsupported("padding that is not counted, or dilation")
    channels = _image(state, x)[2]
    emit = partial(_emit_average, state, x.name, (kernel[0], kernel[1]), stride, pads)
    state.give(node, Pending((1, *size, channels), Where("nchw"), emit))


def _global_average(state: State, node: Node) -> None:
    x = state.int8(node.input(0))
    h, w, channels = _image(state, x)
    if node.kind == "ReduceMean":
        axes = node.ints("axes") or tuple(state.ints(node.input(1)))
        if sorted(a % 4 for a in axes) != [2, 3]:
            raise Unsupported(f"axes {axes}, not height and width")
        if not node.number("keepdims", 1):
            raise Unsupported("keepdims=0: use keepdims=1 and a Flatten")
    if node.number("channels_last", 0):
        raise Unsupported("channels_last")
    emit = partial(_emit_average, state, x.name, (h, w), (1, 1), (0, 0, 0, 0))
    state.give(node, Pending((1, 1, 1, channels), Where("nchw"), emit))


def _emit_average(
    state: State, x: str, kernel: ops.Pair, stride: ops.Pair, pads: ops.Pads, y: str, act: FileAct
) -> None:
    low, high = clamp_range(act, state.a.quant(y))
    if (low, high) != (-128, 127):
        raise Unsupported(f"{act} behind an average")
    state.a.average(x, y, kernel, stride, pads)


def _max_pool(state: State, node: Node) -> None:
    x = state.int8(node.input(0))
    kernel = node.ints("kernel_shape")
    stride, pads, dilation, size = _window(state, node, x, kernel)
    if dilation != (1, 1):
        raise Unsupported("dilation")
    channels = _image(state, x)[2]
    attrs = ops.MaxPool2D((kernel[0], kernel[1]), stride, pads)
    state.give(
        node, Pending((1, *size, channels), Where("nchw"), partial(_emit_move, state, attrs, (x.name,)))
    )


def _emit_move(state: State, attrs: ops.Attrs, inputs: tuple[str, ...], y: str, act: FileAct) -> None:
    """An operator that only moves values, requantised before it where scales are not equal."""
    target = y if clamp_range(act, state.a.quant(y)) == (-128, 127) else state.a.like(f"{y}/before_{act}", y)
    same = []
    for x in inputs:
        if not state.a.moves(x, y):
            scaled = state.a.activation(state.a.unique(f"{x}/for_{y}"), state.a.shape(x), state.a.quant(y))
            state.a.requantise(x, scaled)
            x = scaled
        same.append(x)
    state.a.emit(attrs, same, target)
    if target != y:
        state.a.clip(target, y, *clamp_range(act, state.a.quant(y)))


def _concat(state: State, node: Node) -> None:
    first = 2 if node.kind == "QLinearConcat" else 0
    values = [state.int8(n) for n in node.inputs[first :: 3 if first else 1]]
    at, shape = values[0].at, state.a.shape(values[0].name)
    rank, axis = len(shape), int(node.number("axis", 0))
    if any(v.at != at for v in values) or at.chw is not None:
        raise Unsupported("its inputs lie differently in memory")
    if not -rank <= axis < rank or axis % rank == 0:
        raise Unsupported(f"axis {axis}")
    axis = {1: 3, 2: 1, 3: 2}[axis % rank] if at.layout == "nchw" and rank == 4 else axis % rank
    shapes = [state.a.shape(v.name) for v in values]
    if any(len(s) != rank for s in shapes):
        raise Unsupported(f"shapes {[list(s) for s in shapes]}")
    joined = (*shape[:axis], sum(s[axis] for s in shapes), *shape[axis + 1 :])
    emit = partial(_emit_move, state, ops.Concat(axis), tuple(v.name for v in values))
    state.give(node, Pending(joined, at, emit))


def _unary(fn: ops.Function) -> Handler:
    def handle(state: State, node: Node) -> None:
        x = state.int8(node.input(0))
        default = {"leaky_relu": 0.01, "elu": 1.0}.get(fn, 0.0)  # ONNX's own defaults
        alpha = node.number("alpha", default) if fn in ("leaky_relu", "elu") else 0.0
        if fn == "hardsigmoid":
            slope, offset = node.number("alpha", 0.2), node.number("beta", 0.5)
            if abs(slope - 1 / 6) > 1e-6 or offset != 0.5:
                raise Unsupported(f"slope {slope:g} and offset {offset:g}, not 1/6 and 0.5")
        if fn == "gelu" and node.text("approximate", "none") != "none":
            raise Unsupported("the approximated form")
        attrs = ops.Table(fn, alpha)

        def emit(y: str, act: FileAct) -> None:
            if act != "none":
                raise Unsupported(f"{act} behind {fn}")
            state.a.function(x.name, y, lambda real: apply_function(attrs, real), attrs)

        state.give(node, Pending(state.a.shape(x.name), x.at, emit))

    return handle


def _relu(state: State, node: Node) -> None:
    act: FileAct = "relu"
    if node.kind == "Clip":
        names = [node.input(1), node.input(2)]
        low, high = (state.number(n) if n else edge for n, edge in zip(names, (-np.inf, np.inf), strict=True))
        acts: Mapping[tuple[float, float], FileAct] = {(0, 6): "relu6", (-1, 1): "relu_n1_to_1"}
        found = acts.get((low, high), "relu" if low == 0 and high > 1e30 else None)
        if found is None:
            raise Unsupported(f"bounds {low:g} and {high:g}: none of ReLU, ReLU6, or -1 and 1")
        act = found
    value = state.values.get(node.input(0))
    if isinstance(value, Pending):
        state.values[node.outputs[0]] = with_act(value, act)
        return
    x = state.int8(node.input(0))
    if isinstance(value, Int8):
        raise Unsupported("on int8 values: put it before their QuantizeLinear")
    bounds = {"relu": (0.0, np.inf), "relu6": (0.0, 6.0), "relu_n1_to_1": (-1.0, 1.0)}[act]

    def emit(y: str, then: FileAct) -> None:
        if then != "none":
            raise Unsupported(f"{then} behind {act}")
        state.a.function(x.name, y, lambda real: np.clip(real, *bounds), ops.Table("lookup"))

    state.give(node, Pending(state.a.shape(x.name), x.at, emit))


def _softmax(state: State, node: Node) -> None:
    if not state.leads_out(node.outputs[0]):
        raise Unsupported("a softmax inside the network: no int8 form of it is the same in all runtimes")
    x = state.int8(node.input(0))
    state.values[node.outputs[0]] = Real(x, ended=True)
    state.a.note_softmax(x.name)


HANDLERS: Mapping[str, Handler] = {
    **MOVES,
    "Conv": _conv,
    "QLinearConv": _qlinear_conv,
    "Gemm": _gemm,
    "QGemm": _qgemm,
    "MatMul": _matmul,
    "QLinearMatMul": _qlinear_matmul,
    "Add": _two,
    "Mul": _two,
    "QLinearAdd": _qlinear_two,
    "QLinearMul": _qlinear_two,
    "AveragePool": _average,
    "QLinearAveragePool": _average,
    "GlobalAveragePool": _global_average,
    "QLinearGlobalAveragePool": _global_average,
    "ReduceMean": _global_average,
    "MaxPool": _max_pool,
    "Concat": _concat,
    "QLinearConcat": _concat,
    "Relu": _relu,
    "Clip": _relu,
    "Sigmoid": _unary("sigmoid"),
    "QLinearSigmoid": _unary("sigmoid"),
    "Tanh": _unary("tanh"),
    "Gelu": _unary("gelu"),
    "HardSwish": _unary("hardswish"),
    "HardSigmoid": _unary("hardsigmoid"),
    "Elu": _unary("elu"),
    "LeakyRelu": _unary("leaky_relu"),
    "QLinearLeakyRelu": _unary("leaky_relu"),
    "Softmax": _softmax,
    "QLinearSoftmax": _softmax,
}
"""Every operator that can be read; all others are listed as unsupported."""
