"""ONNX operators with weights: convolutions and products, float between Q and DQ or QLinear."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edgedistill.export.tflite_printer import same_pads
from edgedistill.ir import ops
from edgedistill.read.assemble import FileAct, Unsupported, dilated
from edgedistill.read.onnx_file import Node
from edgedistill.read.onnx_state import Int8, Pending, State, Weights, Where


def qlinear_weights(state: State, node: Node, position: int) -> Weights:
    """A constant with its scale and zero point as three inputs in a row."""
    name, scale, zero = (node.input(position + i) for i in range(3))
    arrays = [state.file.constants.get(n) for n in (name, scale, zero)]
    if arrays[0] is None or arrays[1] is None or arrays[2] is None:
        raise Unsupported(f"the weights {name!r} or their scales are not constant")
    return Weights(name, arrays[0], np.asarray(arrays[1], np.float32).reshape(-1), arrays[2])


def image(state: State, x: Int8) -> tuple[int, int, int]:
    """Height, width, channels of an NCHW value."""
    shape = state.a.shape(x.name)
    if len(shape) != 4 or x.at.layout != "nchw":
        raise Unsupported(f"its input {list(shape)} is no image in NCHW")
    return shape[1], shape[2], shape[3]


def window(
    state: State, node: Node, x: Int8, kernel: tuple[int, ...]
) -> tuple[ops.Pair, ops.Pads, ops.Pair, tuple[int, int]]:
    """Stride, explicit pads, dilation, and the output's height and width."""
    h, w, _ = image(state, x)
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


def emit_act(
    state: State,
    attrs: ops.Conv2D | ops.DepthwiseConv2D | ops.FullyConnected | ops.Add | ops.Mul,
    inputs: tuple[str, ...],
    y: str,
    act: FileAct,
) -> None:
    state.a.emit_act(attrs, inputs, y, act)


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


def _conv(state: State, node: Node) -> None:
    _convolve(state, node, state.int8(node.input(0)), state.constant(node.input(1)), node.input(2))


def _qlinear_conv(state: State, node: Node) -> None:
    _convolve(state, node, state.int8(node.input(0)), qlinear_weights(state, node, 3), node.input(8))


def _convolve(state: State, node: Node, x: Int8, weights: Weights, bias: str) -> None:
    data, scale = _checked(weights, 4)
    channels, group = image(state, x)[2], int(node.number("group", 1))
    stride, pads, dilation, size = window(state, node, x, data.shape[2:])
    attrs: ops.Conv2D | ops.DepthwiseConv2D
    if group == 1 and data.shape[1] == channels:
        attrs, laid, axis = ops.Conv2D(stride, pads), data.transpose(0, 2, 3, 1), 0
    elif group == channels == data.shape[0] and data.shape[1] == 1:
        attrs, laid, axis = ops.DepthwiseConv2D(stride, pads), data.transpose(1, 2, 3, 0), 3
    else:
        raise Unsupported(f"{group} groups: weights {list(data.shape)} on {channels} channels")
    w = state.a.weights(weights.name, dilated(np.ascontiguousarray(laid), dilation), scale, axis)
    b = _bias(state, bias, x.name, w)
    emit = partial(emit_act, state, attrs, (x.name, w, b))
    state.give(node, Pending((1, *size, data.shape[0]), Where("nchw"), emit))


def _gemm(state: State, node: Node) -> None:
    _product(state, node, state.constant(node.input(1)), node.input(2))


def _qgemm(state: State, node: Node) -> None:
    _product(state, node, qlinear_weights(state, node, 3), node.input(6))


def _matmul(state: State, node: Node) -> None:
    if state.is_constant(node.input(0)) or not state.is_constant(node.input(1)):
        raise Unsupported("a product of two activations, or with the weights first")
    _product(state, node, state.constant(node.input(1)), "")


def _qlinear_matmul(state: State, node: Node) -> None:
    _product(state, node, qlinear_weights(state, node, 3), "")


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
    emit = partial(emit_act, state, ops.FullyConnected(), (x.name, name, b))
    state.give(node, Pending((1, len(data)), Where(), emit))


WEIGHTED: Mapping[str, Callable[[State, Node], None]] = {
    "Conv": _conv,
    "QLinearConv": _qlinear_conv,
    "Gemm": _gemm,
    "QGemm": _qgemm,
    "MatMul": _matmul,
    "QLinearMatMul": _qlinear_matmul,
}
