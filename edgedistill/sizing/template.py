"""Lowers a network once for all networks that differ from it in channels, kernels and strides alone.

Recording and lowering takes tens of milliseconds; giving a lowered graph other sizes takes one. The result is
the same graph, operator by operator, that tracing would give: tests/sizing/test_template.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from edgedistill.ir import ops
from edgedistill.ir.graph import Graph, Op, QParams, Tensor
from edgedistill.lower.student import quick_graph
from edgedistill.quant import ranges
from edgedistill.quant.integer import channel_axis, to_integer

if TYPE_CHECKING:
    from torch import nn

Shape: TypeAlias = tuple[int, ...]
Structure: TypeAlias = tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...]

_CHANNELS = frozenset(
    {"in_channels", "out_channels", "num_features", "in_features", "out_features", "groups", "training"}
)
_WINDOW = frozenset({"kernel_size", "stride", "padding", "before", "after"})  # of a SameConv2d
_PLAIN = (bool, int, float, str, tuple)


def structure(net: nn.Module) -> Structure:
    """Everything that decides which operators a network has, without their sizes.

    Each module's path, kind and plain attributes (padding, whether it has a skip ...). Networks of one
    family with equal structures have equal graphs but for channels, and kernels and strides of SameConv2d.
    """
    return tuple(
        (path, type(module).__qualname__, tuple(_facts(module))) for path, module in net.named_modules()
    )


def outline(build: Callable[[], nn.Module]) -> nn.Module:
    """A network's layers without values, on torch's meta device: thousands of times a minute."""
    import torch
    from torch.overrides import TorchFunctionMode

    fills = {torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.fill_, torch.Tensor.zero_}

    class Unfilled(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if function in fills or getattr(function, "__module__", "") == "torch.nn.init":
                return args[0] if args else (kwargs or {})["tensor"]
            return function(*args, **(kwargs or {}))

    with torch.device("meta"), Unfilled():
        return build()


@dataclass(frozen=True, eq=False)
class Template:
    """An int8 graph of one structure. ``rigid``: its sizes cannot be read off the network's layers."""

    graph: Graph
    rigid: bool

    def resized(self, net: nn.Module) -> Graph:
        """The int8 graph of a network of the same structure, with zeros for learned weights."""
        assert not self.rigid
        return _resized(self.graph, _layers(self.graph, net))


def template(net: nn.Module, image_shape: tuple[int, int, int], labels: tuple[str, ...]) -> Template:
    """Traces and quantises ``net`` with dummy ranges.

    Raises:
        UnsupportedOpError: it has a layer that the graph lacks.
    """
    lowered = quick_graph(net, image_shape, labels)
    graph = to_integer(lowered, ranges.choose(lowered, {}))
    layers = _layers(graph, net)
    if any(
        op.name not in layers for op in graph.ops if isinstance(op.attrs, ops.Conv2D | ops.FullyConnected)
    ):
        return Template(graph, rigid=True)
    again = _resized(graph, layers)
    same = all(again.tensors[name].shape == tensor.shape for name, tensor in graph.tensors.items())
    return Template(graph, rigid=not same or [o.attrs for o in again.ops] != [o.attrs for o in graph.ops])


def _facts(module: nn.Module) -> list[tuple[str, str]]:
    unsaid = _CHANNELS | (_WINDOW if _is_window(module) else frozenset())
    facts = [
        (name, repr(value))
        for name, value in vars(module).items()
        if name not in unsaid and isinstance(value, _PLAIN)
    ]
    grouped = getattr(module, "groups", 1)
    facts.append(("grouped", str(isinstance(grouped, int) and grouped > 1)))
    return sorted(facts)


def _is_window(module: object) -> bool:
    """A strided 1x1 convolution is lowered in another way, so that its stride belongs to the structure."""
    from edgedistill.students.blocks import SameConv2d

    return isinstance(module, SameConv2d) and module.kernel_size != (1, 1)


def _layers(graph: Graph, net: nn.Module) -> dict[str, Any]:
    """The layers that operators came from, by the operator's name."""
    known = dict(net.named_modules())
    found = {op.name: known.get(op.name, known.get(op.name.rpartition(".")[0])) for op in graph.ops}
    weighted = (ops.Conv2D, ops.FullyConnected)
    return {
        op.name: found[op.name]
        for op in graph.ops
        if getattr(found[op.name], "weight", None) is not None or not isinstance(op.attrs, weighted)
    }


def _resized(graph: Graph, layers: Mapping[str, Any]) -> Graph:
    tensors, result = dict(graph.tensors), []
    for op in graph.ops:
        x, y = tensors[op.inputs[0]].shape, tensors[op.outputs[0]].shape
        match op.attrs:
            case ops.Conv2D() | ops.DepthwiseConv2D():
                op, kernel = _window(op, layers.get(op.name), tensors[op.inputs[1]].shape[1:3], x)
                assert isinstance(op.attrs, ops.Conv2D | ops.DepthwiseConv2D)
                wide = isinstance(op.attrs, ops.DepthwiseConv2D)
                count = x[-1] if wide else int(layers[op.name].weight.shape[0])
                _put_constants(tensors, op, (1, *kernel, count) if wide else (count, *kernel, x[-1]))
                y = (y[0], *_sides(op.attrs, kernel, x), count)
            case ops.FullyConnected():
                count = int(layers[op.name].weight.shape[0])
                _put_constants(tensors, op, (count, x[-1]))
                y = (*y[:-1], count)
            case ops.Reshape():
                y = (y[0], math.prod(x[1:]))
            case ops.Concat():
                y = (*x[:-1], sum(tensors[name].shape[-1] for name in op.inputs))
            case ops.MaxPool2D(kernel, _, _):
                y = (y[0], *_sides(op.attrs, kernel, x), x[-1])
            case _:
                y = x
        tensors[op.outputs[0]] = replace(tensors[op.outputs[0]], shape=y)
        result.append(op)
    return graph.replace(tensors=tensors, ops=tuple(result))


def _window(op: Op, layer: Any, kernel: Shape, x: Shape) -> tuple[Op, Shape]:
    """The operator with its layer's stride and padding, and the kernel's height and width."""
    from torch import nn

    assert isinstance(op.attrs, ops.Conv2D | ops.DepthwiseConv2D)
    if _is_window(layer) and not ops.is_constant(op.attrs):
        pads = (layer.before, layer.after) * 2
        return replace(op, attrs=replace(op.attrs, stride=tuple(layer.stride), pads=pads)), layer.kernel_size
    if isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size in (1, (1, 1)):
        return replace(op, attrs=replace(op.attrs, stride=(x[1], x[2]))), x[1:3]
    return op, kernel


def _sides(attrs: ops.Conv2D | ops.DepthwiseConv2D | ops.MaxPool2D, kernel: Shape, x: Shape) -> Shape:
    top, bottom, left, right = attrs.pads
    return (
        (x[1] + top + bottom - kernel[0]) // attrs.stride[0] + 1,
        (x[2] + left + right - kernel[1]) // attrs.stride[1] + 1,
    )


def _put_constants(tensors: dict[str, Tensor], op: Op, shape: Shape) -> None:
    """Weights and biases of another size: an average's repeated, learned ones zero, each with a scale."""
    w, b = tensors[op.inputs[1]], tensors[op.inputs[2]]
    count = shape[channel_axis(op)]
    assert w.data is not None and b.data is not None and w.quant is not None and b.quant is not None
    if ops.is_constant(op.attrs):
        kernel, bias = np.broadcast_to(w.data.flat[0], shape), np.broadcast_to(b.data[:1], (count,))
        scales = (np.repeat(w.quant.scale[:1], count), np.repeat(b.quant.scale[:1], count))
    else:
        kernel, bias = np.broadcast_to(np.int8(0), shape), np.broadcast_to(np.int32(0), (count,))
        scales = (np.arange(1, count + 1, dtype=np.float32),) * 2  # learned scales differ by channel
    tensors[w.name] = replace(w, shape=shape, data=kernel, quant=QParams(scales[0], 0, w.quant.axis))
    tensors[b.name] = replace(b, shape=(count,), data=bias, quant=QParams(scales[1], 0, b.quant.axis))
