"""torch.export to the float graph: each aten operator becomes legal operators, nothing is fused yet.

What has no operator of its own is written as a 1x1 depthwise convolution, which is always
legal: BatchNorm as an affine one, an activation as an identity that ends in it, padding as
an identity that pads. The passes then fold these into their neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgedistill.errors import UnsupportedOpError
from edgedistill.ir import ops
from edgedistill.ir.graph import Graph, Op, Tensor

Array = NDArray[np.float32]


@dataclass
class _Trace:
    """The graph under construction; ``names`` maps an fx node to the tensor it stands for."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    steps: list[Op] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    constants: dict[str, Array] = field(default_factory=dict)

    def x(self, node: torch.fx.Node, index: int = 0) -> Tensor:
        return self.tensors[self.names[_argument(node, index).name]]

    def constant(self, node: torch.fx.Node, index: int, default: Array | None = None) -> Array:
        value = node.args[index] if index < len(node.args) else None
        if isinstance(value, torch.fx.Node):
            return self.constants[value.name]
        assert default is not None, f"{node.name}: argument {index} is no constant"
        return default

    def emit(
        self,
        node: torch.fx.Node,
        attrs: ops.Attrs,
        inputs: list[Tensor],
        shape: tuple[int, ...],
        **consts: Array,
    ) -> None:
        name = _layer(node)
        for key, data in consts.items():
            inputs = [
                *inputs,
                Tensor(f"{node.name}.{key}", data.shape, "float32", data=data.astype(np.float32)),
            ]
        out = Tensor(node.name, shape, "float32")
        self.tensors.update({t.name: t for t in [*inputs, out]})
        taken = {op.name for op in self.steps}
        candidates = (name, node.name, *(f"{node.name}.{i}" for i in range(1, len(taken) + 2)))
        self.steps.append(
            Op(
                next(n for n in candidates if n not in taken),
                attrs,
                tuple(t.name for t in inputs),
                (out.name,),
            )
        )
        self.names[node.name] = out.name

    def identity(
        self,
        node: torch.fx.Node,
        x: Tensor,
        scale: Array | None = None,
        shift: Array | None = None,
        **attrs: Any,
    ) -> None:
        """A 1x1 depthwise convolution: ``y = act(scale * x + shift)``."""
        channels = x.shape[-1]
        scale = np.ones(channels, np.float32) if scale is None else scale
        shift = np.zeros(channels, np.float32) if shift is None else shift
        learned = ops.DepthwiseConv2D(**attrs)
        n, h, w, c = x.shape
        top, bottom, left, right = learned.pads
        rows, columns = (
            (h + top + bottom - 1) // learned.stride[0] + 1,
            (w + left + right - 1) // learned.stride[1] + 1,
        )
        self.emit(node, learned, [x], (n, rows, columns, c), w=scale.reshape(1, 1, 1, -1), b=shift)


def _argument(node: torch.fx.Node, index: int) -> torch.fx.Node:
    value = node.args[index]
    assert isinstance(value, torch.fx.Node), f"{node.name}: argument {index} is {value!r}"
    return value


def _layer(node: torch.fx.Node) -> str:
    """The module path that a node came from, for messages and operator names."""
    stack = node.meta.get("nn_module_stack") or {}
    path = [str(entry[0]) for entry in stack.values() if entry[0]]
    return path[-1].replace("L['self'].", "") if path else node.name


def _shape(node: torch.fx.Node) -> tuple[int, ...]:
    """NHWC shape of a node's value."""
    shape = tuple(int(n) for n in node.meta["val"].shape)
    return (shape[0], shape[2], shape[3], shape[1]) if len(shape) == 4 else shape


def _refuse(node: torch.fx.Node, why: str, fix: str | None = None) -> UnsupportedOpError:
    return UnsupportedOpError(
        f"the student's layer {_layer(node)!r} cannot be carried into the integer graph: {why}",
        where=f"{node.target} ({node.name})",
        fix=fix
        or "use convolutions, linear layers, BatchNorm, ReLU, ReLU6, pooling, addition, concatenation",
    )


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    values = [int(v) for v in value]
    return (values[0], values[0]) if len(values) == 1 else (values[0], values[1])


def _ints(node: torch.fx.Node, index: int) -> list[int]:
    values = node.args[index]
    assert isinstance(values, list | tuple), f"{node.name}: argument {index} is {values!r}"
    return [v for v in values if isinstance(v, int)]


def _optional(node: torch.fx.Node, index: int, default: Any) -> Any:
    return node.args[index] if index < len(node.args) else default


def _conv(trace: _Trace, node: torch.fx.Node) -> None:
    x, w = trace.x(node), trace.constant(node, 1)  # w [O, I/g, KH, KW]
    b = trace.constant(node, 2, np.zeros(len(w), np.float32))
    stride = _pair(_optional(node, 3, 1))
    padding, dilation, groups = _optional(node, 4, 0), _pair(_optional(node, 5, 1)), _optional(node, 6, 1)
    if dilation != (1, 1):
        raise _refuse(node, f"dilation {dilation}")
    if isinstance(padding, str):
        if padding == "same" and stride == (1, 1):
            sides = [(k - 1) // 2 for k in w.shape[2:]]
            pads = (sides[0], w.shape[2] - 1 - sides[0], sides[1], w.shape[3] - 1 - sides[1])
        else:
            pads = (0, 0, 0, 0)
    else:
        ph, pw = _pair(padding)
        pads = (ph, ph, pw, pw)
    shape = _shape(node)
    if groups == 1:
        trace.emit(node, ops.Conv2D(stride, pads), [x], shape, w=w.transpose(0, 2, 3, 1), b=b)
    elif groups == x.shape[-1] == len(w):
        trace.emit(
            node, ops.DepthwiseConv2D(stride, pads), [x], shape, w=w[:, 0].transpose(1, 2, 0)[None], b=b
        )
    else:
        raise _refuse(
            node,
            f"a convolution of {groups} groups over {x.shape[-1]} channels",
            "groups: 1 or the number of channels",
        )


def _linear(trace: _Trace, node: torch.fx.Node) -> None:
    x, w = trace.x(node), trace.constant(node, 1)
    if len(x.shape) != 2:
        raise _refuse(node, f"a linear layer on {len(x.shape)} dimensions", "flatten to [N, features] first")
    b = trace.constant(node, 2, np.zeros(len(w), np.float32))
    pixels = _flattened(trace, x.name)
    if pixels is not None:  # torch flattens C,H,W; the graph flattens H,W,C
        h, wd, c = pixels
        w = w.reshape(-1, c, h, wd).transpose(0, 2, 3, 1).reshape(len(w), -1)
    trace.emit(node, ops.FullyConnected(), [x], _shape(node), w=w, b=b)


def _flattened(trace: _Trace, tensor: str) -> tuple[int, int, int] | None:
    """(H, W, C) of the image that [N, features] was flattened from, through elementwise operators."""
    op = next((op for op in trace.steps if tensor in op.outputs), None)
    if op is None or isinstance(op.attrs, ops.FullyConnected):
        return None
    if isinstance(op.attrs, ops.Reshape):
        _, h, w, c = trace.tensors[op.inputs[0]].shape
        return h, w, c
    return _flattened(trace, op.inputs[0])


def _batch_norm(trace: _Trace, node: torch.fx.Node) -> None:
    x = trace.x(node)
    ones = np.ones(x.shape[-1], np.float32)
    gamma, beta = trace.constant(node, 1, ones), trace.constant(node, 2, ones * 0)
    mean, variance = trace.constant(node, 3), trace.constant(node, 4)
    epsilon = next(float(a) for a in reversed(node.args) if isinstance(a, float))
    scale = gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
    if len(x.shape) != 4:
        raise _refuse(node, "BatchNorm on [N, features]", "use it after convolutions")
    shift = beta - mean * scale
    trace.identity(node, x, scale.astype(np.float32), shift.astype(np.float32))


def _activation(act: ops.Act) -> Callable[[_Trace, torch.fx.Node], None]:
    def handle(trace: _Trace, node: torch.fx.Node) -> None:
        x = trace.x(node)
        if len(x.shape) == 4:
            trace.identity(node, x, act=act, constant=True)
            return
        last = trace.steps[-1]
        if x.name not in last.outputs or not isinstance(last.attrs, ops.FullyConnected | ops.Add):
            raise _refuse(node, f"{act} on [N, features] that does not follow a linear layer directly")
        trace.steps[-1] = replace(last, attrs=replace(last.attrs, act=act))
        trace.names[node.name] = x.name

    return handle


def _hardtanh(trace: _Trace, node: torch.fx.Node) -> None:
    low, high = float(_optional(node, 1, -1.0)), float(_optional(node, 2, 1.0))
    if (low, high) != (0.0, 6.0):
        raise _refuse(node, f"a clamp to [{low:g}, {high:g}]", "use ReLU or ReLU6")
    _activation("relu6")(trace, node)


def _table(fn: Any) -> Callable[[_Trace, torch.fx.Node], None]:
    def handle(trace: _Trace, node: torch.fx.Node) -> None:
        alpha = {"leaky_relu": 0.01, "elu": 1.0}.get(fn, 0.0)
        trace.emit(
            node,
            ops.Table(fn, float(_optional(node, 1, alpha)) if alpha else 0.0),
            [trace.x(node)],
            _shape(node),
        )

    return handle


def _binary(attrs: ops.Add | ops.Mul) -> Callable[[_Trace, torch.fx.Node], None]:
    def handle(trace: _Trace, node: torch.fx.Node) -> None:
        if (
            not all(isinstance(a, torch.fx.Node) and a.name in trace.names for a in node.args[:2])
            or node.kwargs
        ):
            raise _refuse(
                node, f"{attrs.kind} with a constant", "fold constants into a BatchNorm or a convolution"
            )
        a, b = trace.x(node, 0), trace.x(node, 1)
        if a.shape != b.shape and math.prod(a.shape) < math.prod(b.shape):
            a, b = b, a
        gate = (b.shape[0], 1, 1, b.shape[-1])
        if a.shape != b.shape and not (isinstance(attrs, ops.Mul) and b.shape == gate):
            raise _refuse(node, f"{attrs.kind} of shapes {a.shape} and {b.shape}")
        trace.emit(node, attrs, [a, b], _shape(node))

    return handle


def _average(trace: _Trace, node: torch.fx.Node, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
    x = trace.x(node)
    n, h, w, c = x.shape
    shape = (n, (h - kernel[0]) // stride[0] + 1, (w - kernel[1]) // stride[1] + 1, c)
    weights = np.full((1, *kernel, c), 1 / (kernel[0] * kernel[1]), np.float32)
    attrs = ops.DepthwiseConv2D(stride, constant=True)
    trace.emit(node, attrs, [x], shape, w=weights, b=np.zeros(c, np.float32))


def _global_average(trace: _Trace, node: torch.fx.Node) -> None:
    x, size = trace.x(node), _pair(node.args[1])
    h, w = x.shape[1:3]
    if h % size[0] or w % size[1]:
        raise _refuse(node, f"adaptive pooling of {h}x{w} to {size[0]}x{size[1]}", "sizes that divide evenly")
    kernel = (h // size[0], w // size[1])
    _average(trace, node, kernel, kernel)


def _mean(trace: _Trace, node: torch.fx.Node) -> None:
    x, keep = trace.x(node), bool(_optional(node, 2, False))
    axes = sorted(d % 4 for d in _ints(node, 1))
    if len(x.shape) != 4 or axes != [2, 3]:
        raise _refuse(node, "a mean over other axes than height and width")
    _average(trace, node, (x.shape[1], x.shape[2]), (1, 1))
    if not keep:
        last = trace.steps[-1]
        pooled = replace(trace.tensors[last.outputs[0]], name=f"{node.name}.pooled")
        trace.steps[-1] = replace(last, outputs=(pooled.name,))
        trace.tensors[pooled.name] = pooled
        trace.emit(node, ops.Reshape(), [pooled], _shape(node))


def _average_pool(trace: _Trace, node: torch.fx.Node) -> None:
    kernel = _pair(node.args[1])
    if any(_pair(_optional(node, 3, 0))) or _optional(node, 4, False):
        raise _refuse(node, "average pooling with padding or ceil_mode")
    _average(trace, node, kernel, _pair(_optional(node, 2, None) or kernel))


def _max_pool(trace: _Trace, node: torch.fx.Node) -> None:
    kernel = _pair(node.args[1])
    ph, pw = _pair(_optional(node, 3, 0))
    if _pair(_optional(node, 4, 1)) != (1, 1) or _optional(node, 5, False):
        raise _refuse(node, "max pooling with dilation or ceil_mode")
    attrs = ops.MaxPool2D(kernel, _pair(_optional(node, 2, None) or kernel), (ph, ph, pw, pw))
    trace.emit(node, attrs, [trace.x(node)], _shape(node))


def _reshape(trace: _Trace, node: torch.fx.Node) -> None:
    x, shape = trace.x(node), _shape(node)
    if shape == x.shape:
        trace.names[node.name] = x.name
        return
    if len(shape) != 2 or len(x.shape) != 4:
        raise _refuse(node, f"a reshape from {x.shape} to {shape}", "flatten once, before the linear head")
    trace.emit(node, ops.Reshape(), [x], shape)


def _concat(trace: _Trace, node: torch.fx.Node) -> None:
    parts = node.args[0]
    assert isinstance(parts, list | tuple)
    if int(_optional(node, 1, 0)) not in (1, -3) or len(_shape(node)) != 4:
        raise _refuse(node, "a concatenation along another axis than the channels")
    tensors = [trace.tensors[trace.names[p.name]] for p in parts if isinstance(p, torch.fx.Node)]
    trace.emit(node, ops.Concat(), tensors, _shape(node))


def _pad(trace: _Trace, node: torch.fx.Node) -> None:
    widths = _ints(node, 1)
    mode = node.args[2] if len(node.args) > 2 and isinstance(node.args[2], str) else "constant"
    value = next((a for a in reversed(node.args[2:]) if isinstance(a, int | float)), 0)
    if mode != "constant" or value or len(widths) > 4 or min(widths) < 0:
        raise _refuse(node, "padding that is not zeros around height and width")
    left, right, top, bottom = [*widths, 0, 0, 0, 0][:4]
    trace.identity(node, trace.x(node), pads=(top, bottom, left, right), constant=True)


def _slice(trace: _Trace, node: torch.fx.Node) -> None:
    axis, start, end = _optional(node, 1, 0), _optional(node, 2, None), _optional(node, 3, None)
    step, x = int(_optional(node, 4, 1)), trace.x(node)
    whole = not start and (end is None or end >= _argument(node, 0).meta["val"].shape[axis])
    if whole and step == 1:
        trace.names[node.name] = x.name
        return
    if not whole or axis not in (2, 3) or len(x.shape) != 4:
        raise _refuse(node, "a slice that is not every k-th row or column")
    trace.identity(node, x, stride=(step, 1) if axis == 2 else (1, step), constant=True)


def _pass_through(trace: _Trace, node: torch.fx.Node) -> None:
    trace.names[node.name] = trace.x(node).name


HANDLERS: Mapping[str, Callable[[_Trace, torch.fx.Node], None]] = {
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


def trace(
    net: nn.Module, input_shape: tuple[int, int, int], labels: tuple[str, ...] = (), name: str = "student"
) -> Graph:
    """The float graph of ``net`` in evaluation mode; ``input_shape`` is (H, W, C).

    Raises:
        UnsupportedOpError: a layer that the graph has no operator for (all such layers are named).
    """
    h, w, c = input_shape
    training = net.training
    try:
        program = torch.export.export(net.eval(), (torch.zeros(1, c, h, w),))
    except Exception as error:  # torch.export raises many kinds; each means the same to the user
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnsupportedOpError(
            f"torch.export cannot trace the student: {reason}",
            where=f"{type(net).__name__} on input [1, {c}, {h}, {w}]",
            fix="remove control flow that depends on values",
        ) from error
    finally:
        net.train(training)
    state: dict[str, Any] = {**program.state_dict, **program.constants}
    signature = program.graph_signature
    sources = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    result = _Trace()
    outputs: list[str] = []
    unknown: list[str] = []
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in sources:
            result.constants[node.name] = state[sources[node.name]].detach().float().numpy()
        elif node.op == "placeholder":
            result.tensors["input"] = Tensor("input", (1, h, w, c), "float32")
            result.names[node.name] = "input"
        elif node.op == "call_function":
            key = str(node.target).removeprefix("aten.").split(".")[0]
            if key in HANDLERS and not unknown:
                HANDLERS[key](result, node)
            elif key not in HANDLERS:
                unknown.append(f"{_layer(node)} ({node.target})")
        elif node.op == "output":
            if unknown:
                raise UnsupportedOpError(
                    "the integer graph has no operator for: " + ", ".join(unknown),
                    where=type(net).__name__,
                    fix=f"supported: {', '.join(sorted(HANDLERS))}",
                )
            outputs = [result.names[n.name] for n in node.args[0]]
            pixels = _flattened(result, outputs[0]) if len(outputs) == 1 else None
            if len(outputs) != 1 or (pixels is not None and pixels[0] * pixels[1] > 1):
                raise _refuse(
                    node,
                    f"{len(outputs)} outputs, or flattened pixels as output",
                    "end in one [N, classes] tensor",
                )
    used = {t for op in result.steps for t in (*op.inputs, *op.outputs)}
    tensors = {k: v for k, v in result.tensors.items() if k in used or k in outputs}
    return Graph(name, tensors, tuple(result.steps), ("input",), tuple(outputs), labels)
