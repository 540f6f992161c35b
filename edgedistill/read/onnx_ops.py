"""Says what each ONNX operator is in the graph, as a float operator between Q and DQ or as a QLinear one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from edgedistill.ir import ops
from edgedistill.ir.interpret import apply_function
from edgedistill.read.assemble import FileAct, Unsupported, clamp_range, parameters
from edgedistill.read.onnx_file import Node
from edgedistill.read.onnx_moves import MOVES, is_index
from edgedistill.read.onnx_state import Int8, Pending, Real, State, Weights, Where, with_act
from edgedistill.read.onnx_weighted import WEIGHTED, emit_act, image, qlinear_weights, window

Handler = Callable[[State, Node], None]


def _two(state: State, node: Node) -> None:
    """Add and Mul of float values between Q and DQ, or the int32 Add before a table."""
    if node.kind == "Add" and is_index(state, node):
        return
    found = [state.constant(n) if state.is_constant(n) else state.int8(n) for n in node.inputs[:2]]
    _combine(state, node, found)


def _qlinear_two(state: State, node: Node) -> None:
    found: list[Int8 | Weights] = []
    for position in (0, 3):
        constant = node.input(position) in state.file.constants
        found.append(qlinear_weights(state, node, position) if constant else state.int8(node.input(position)))
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
    state.give(node, Pending(shape, largest.at, partial(emit_act, state, attrs, tuple(names))))


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
    stride, pads, dilation, size = window(state, node, x, kernel)
    if (any(pads) and not node.number("count_include_pad", 0)) or dilation != (1, 1):
        raise Unsupported("padding that is not counted, or dilation")
    channels = image(state, x)[2]
    emit = partial(_emit_average, state, x.name, (kernel[0], kernel[1]), stride, pads)
    state.give(node, Pending((1, *size, channels), Where("nchw"), emit))


def _global_average(state: State, node: Node) -> None:
    x = state.int8(node.input(0))
    h, w, channels = image(state, x)
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
    stride, pads, dilation, size = window(state, node, x, kernel)
    if dilation != (1, 1):
        raise Unsupported("dilation")
    channels = image(state, x)[2]
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
    **WEIGHTED,
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
