"""What each aten operator of a trace becomes in the graph: one small function and one table row each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from edgedistill.ir import ops
from edgedistill.lower.builder import Builder, argument, flattened, ints, optional, pair, refuse, shape_of


def _conv(trace: Builder, node: torch.fx.Node) -> None:
    x, w = trace.x(node), trace.constant(node, 1)  # w [O, I/g, KH, KW]
    b = trace.constant(node, 2, np.zeros(len(w), np.float32))
    stride = pair(optional(node, 3, 1))
    padding, dilation, groups = optional(node, 4, 0), pair(optional(node, 5, 1)), optional(node, 6, 1)
    if dilation != (1, 1):
        raise refuse(node, f"dilation {dilation}")
    if isinstance(padding, str):
        if padding == "same" and stride == (1, 1):
            sides = [(k - 1) // 2 for k in w.shape[2:]]
            pads = (sides[0], w.shape[2] - 1 - sides[0], sides[1], w.shape[3] - 1 - sides[1])
        else:
            pads = (0, 0, 0, 0)
    else:
        ph, pw = pair(padding)
        pads = (ph, ph, pw, pw)
    shape = shape_of(node)
    if groups == 1:
        trace.emit(node, ops.Conv2D(stride, pads), [x], shape, w=w.transpose(0, 2, 3, 1), b=b)
    elif groups == x.shape[-1] == len(w):
        trace.emit(
            node, ops.DepthwiseConv2D(stride, pads), [x], shape, w=w[:, 0].transpose(1, 2, 0)[None], b=b
        )
    else:
        raise refuse(
            node,
            f"a convolution of {groups} groups over {x.shape[-1]} channels",
            "groups: 1 or the number of channels",
        )


def _linear(trace: Builder, node: torch.fx.Node) -> None:
    x, w = trace.x(node), trace.constant(node, 1)
    if len(x.shape) != 2:
        raise refuse(node, f"a linear layer on {len(x.shape)} dimensions", "flatten to [N, features] first")
    b = trace.constant(node, 2, np.zeros(len(w), np.float32))
    pixels = flattened(trace, x.name)
    if pixels is not None:  # torch flattens C,H,W; the graph flattens H,W,C
        h, wd, c = pixels
        w = w.reshape(-1, c, h, wd).transpose(0, 2, 3, 1).reshape(len(w), -1)
    trace.emit(node, ops.FullyConnected(), [x], shape_of(node), w=w, b=b)


def _batch_norm(trace: Builder, node: torch.fx.Node) -> None:
    x = trace.x(node)
    ones = np.ones(x.shape[-1], np.float32)
    gamma, beta = trace.constant(node, 1, ones), trace.constant(node, 2, ones * 0)
    mean, variance = trace.constant(node, 3), trace.constant(node, 4)
    epsilon = next(float(a) for a in reversed(node.args) if isinstance(a, float))
    scale = gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
    if len(x.shape) != 4:
        raise refuse(node, "BatchNorm on [N, features]", "use it after convolutions")
    shift = beta - mean * scale
    trace.identity(node, x, scale.astype(np.float32), shift.astype(np.float32))


def _activation(act: ops.Act) -> Callable[[Builder, torch.fx.Node], None]:
    def handle(trace: Builder, node: torch.fx.Node) -> None:
        x = trace.x(node)
        if len(x.shape) == 4:
            trace.identity(node, x, act=act, constant=True)
            return
        last = trace.steps[-1]
        if x.name not in last.outputs or not isinstance(last.attrs, ops.FullyConnected | ops.Add):
            raise refuse(node, f"{act} on [N, features] that does not follow a linear layer directly")
        trace.steps[-1] = replace(last, attrs=replace(last.attrs, act=act))
        trace.names[node.name] = x.name

    return handle


def _hardtanh(trace: Builder, node: torch.fx.Node) -> None:
    low, high = float(optional(node, 1, -1.0)), float(optional(node, 2, 1.0))
    if (low, high) != (0.0, 6.0):
        raise refuse(node, f"a clamp to [{low:g}, {high:g}]", "use ReLU or ReLU6")
    _activation("relu6")(trace, node)


def _table(fn: Any) -> Callable[[Builder, torch.fx.Node], None]:
    def handle(trace: Builder, node: torch.fx.Node) -> None:
        alpha = {"leaky_relu": 0.01, "elu": 1.0}.get(fn, 0.0)
        trace.emit(
            node,
            ops.Table(fn, float(optional(node, 1, alpha)) if alpha else 0.0),
            [trace.x(node)],
            shape_of(node),
        )

    return handle


def _binary(attrs: ops.Add | ops.Mul) -> Callable[[Builder, torch.fx.Node], None]:
    def handle(trace: Builder, node: torch.fx.Node) -> None:
        if (
            not all(isinstance(a, torch.fx.Node) and a.name in trace.names for a in node.args[:2])
            or node.kwargs
        ):
            raise refuse(
                node, f"{attrs.kind} with a constant", "fold constants into a BatchNorm or a convolution"
            )
        a, b = trace.x(node, 0), trace.x(node, 1)
        if a.shape != b.shape and math.prod(a.shape) < math.prod(b.shape):
            a, b = b, a
        gate = (b.shape[0], 1, 1, b.shape[-1])
        if a.shape != b.shape and not (isinstance(attrs, ops.Mul) and b.shape == gate):
            raise refuse(node, f"{attrs.kind} of shapes {a.shape} and {b.shape}")
        trace.emit(node, attrs, [a, b], shape_of(node))

    return handle


def _average(trace: Builder, node: torch.fx.Node, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
    x = trace.x(node)
    n, h, w, c = x.shape
    shape = (n, (h - kernel[0]) // stride[0] + 1, (w - kernel[1]) // stride[1] + 1, c)
    weights = np.full((1, *kernel, c), 1 / (kernel[0] * kernel[1]), np.float32)
    attrs = ops.DepthwiseConv2D(stride, constant=True)
    trace.emit(node, attrs, [x], shape, w=weights, b=np.zeros(c, np.float32))


def _global_average(trace: Builder, node: torch.fx.Node) -> None:
    x, size = trace.x(node), pair(node.args[1])
    h, w = x.shape[1:3]
    if h % size[0] or w % size[1]:
        raise refuse(node, f"adaptive pooling of {h}x{w} to {size[0]}x{size[1]}", "sizes that divide evenly")
    kernel = (h // size[0], w // size[1])
    _average(trace, node, kernel, kernel)


def _mean(trace: Builder, node: torch.fx.Node) -> None:
    x, keep = trace.x(node), bool(optional(node, 2, False))
    axes = sorted(d % 4 for d in ints(node, 1))
    if len(x.shape) != 4 or axes != [2, 3]:
        raise refuse(node, "a mean over other axes than height and width")
    _average(trace, node, (x.shape[1], x.shape[2]), (1, 1))
    if not keep:
        last = trace.steps[-1]
        pooled = replace(trace.tensors[last.outputs[0]], name=f"{node.name}.pooled")
        trace.steps[-1] = replace(last, outputs=(pooled.name,))
        trace.tensors[pooled.name] = pooled
        trace.emit(node, ops.Reshape(), [pooled], shape_of(node))


def _average_pool(trace: Builder, node: torch.fx.Node) -> None:
    kernel = pair(node.args[1])
    if any(pair(optional(node, 3, 0))) or optional(node, 4, False):
        raise refuse(node, "average pooling with padding or ceil_mode")
    _average(trace, node, kernel, pair(optional(node, 2, None) or kernel))


def _max_pool(trace: Builder, node: torch.fx.Node) -> None:
    kernel = pair(node.args[1])
    ph, pw = pair(optional(node, 3, 0))
    if pair(optional(node, 4, 1)) != (1, 1) or optional(node, 5, False):
        raise refuse(node, "max pooling with dilation or ceil_mode")
    attrs = ops.MaxPool2D(kernel, pair(optional(node, 2, None) or kernel), (ph, ph, pw, pw))
    trace.emit(node, attrs, [trace.x(node)], shape_of(node))


def _reshape(trace: Builder, node: torch.fx.Node) -> None:
    x, shape = trace.x(node), shape_of(node)
    if shape == x.shape:
        trace.names[node.name] = x.name
        return
    if len(shape) != 2 or len(x.shape) != 4:
        raise refuse(node, f"a reshape from {x.shape} to {shape}", "flatten once, before the linear head")
    trace.emit(node, ops.Reshape(), [x], shape)


def _concat(trace: Builder, node: torch.fx.Node) -> None:
    parts = node.args[0]
    assert isinstance(parts, list | tuple)
    if int(optional(node, 1, 0)) not in (1, -3) or len(shape_of(node)) != 4:
        raise refuse(node, "a concatenation along another axis than the channels")
    tensors = [trace.tensors[trace.names[p.name]] for p in parts if isinstance(p, torch.fx.Node)]
    trace.emit(node, ops.Concat(), tensors, shape_of(node))


def _pad(trace: Builder, node: torch.fx.Node) -> None:
    widths = ints(node, 1)
    mode = node.args[2] if len(node.args) > 2 and isinstance(node.args[2], str) else "constant"
    value = next((a for a in reversed(node.args[2:]) if isinstance(a, int | float)), 0)
    if mode != "constant" or value or len(widths) > 4 or min(widths) < 0:
        raise refuse(node, "padding that is not zeros around height and width")
    left, right, top, bottom = [*widths, 0, 0, 0, 0][:4]
    trace.identity(node, trace.x(node), pads=(top, bottom, left, right), constant=True)


def _slice(trace: Builder, node: torch.fx.Node) -> None:
    axis, start, end = optional(node, 1, 0), optional(node, 2, None), optional(node, 3, None)
    step, x = int(optional(node, 4, 1)), trace.x(node)
    whole = not start and (end is None or end >= argument(node, 0).meta["val"].shape[axis])
    if whole and step == 1:
        trace.names[node.name] = x.name
        return
    if not whole or axis not in (2, 3) or len(x.shape) != 4:
        raise refuse(node, "a slice that is not every k-th row or column")
    trace.identity(node, x, stride=(step, 1) if axis == 2 else (1, step), constant=True)


def _pass_through(trace: Builder, node: torch.fx.Node) -> None:
    trace.names[node.name] = trace.x(node).name


HANDLERS: Mapping[str, Callable[[Builder, torch.fx.Node], None]] = {
    "conv2d": _conv,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "relu": _activation("relu"),
    "relu_": _activation("relu"),
    "relu6": _activation("relu6"),
    "relu6_": _activation("relu6"),
    "hardtanh": _hardtanh,
    "hardtanh_": _hardtanh,
    "sigmoid": _table("sigmoid"),
    "tanh": _table("tanh"),
    "gelu": _table("gelu"),
    "silu": _table("silu"),
    "silu_": _table("silu"),
    "hardswish": _table("hardswish"),
    "hardswish_": _table("hardswish"),
    "hardsigmoid": _table("hardsigmoid"),
    "elu": _table("elu"),
    "leaky_relu": _table("leaky_relu"),
    "add": _binary(ops.Add()),
    "add_": _binary(ops.Add()),
    "mul": _binary(ops.Mul()),
    "adaptive_avg_pool2d": _global_average,
    "mean": _mean,
    "avg_pool2d": _average_pool,
    "max_pool2d": _max_pool,
    "flatten": _reshape,
    "view": _reshape,
    "reshape": _reshape,
    "squeeze": _reshape,
    "cat": _concat,
    "slice": _slice,
    "pad": _pad,
    "constant_pad_nd": _pad,
    "dropout": _pass_through,
    "dropout_": _pass_through,
    "contiguous": _pass_through,
    "clone": _pass_through,
    "alias": _pass_through,
}
