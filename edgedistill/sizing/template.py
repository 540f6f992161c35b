"""Lowers a network once for all networks that differ from it in their channels alone.

Tracing takes a third of a second; giving a traced graph other channels takes a millisecond. The result is
the same graph, operator by operator, that tracing would give: tests/sizing/test_template.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from edgedistill.ir import ops
from edgedistill.ir.graph import Graph, Op, QParams, Tensor
from edgedistill.lower.student import float_graph
from edgedistill.quant import ranges
from edgedistill.quant.integer import channel_axis, to_integer

if TYPE_CHECKING:
    from torch import nn

Shape: TypeAlias = tuple[int, ...]
Structure: TypeAlias = tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...]

_CHANNELS = frozenset(
    {"in_channels", "out_channels", "num_features", "in_features", "out_features", "groups", "training"}
)
_PLAIN = (bool, int, float, str, tuple)


def structure(net: nn.Module) -> Structure:
    """Everything that decides which operators a network has, without its channels.

    Each module's path, kind and plain attributes (kernel, stride, padding, whether it has a skip ...).
    Networks of one family with equal structures have equal graphs but for their channels.
    """
    return tuple(
        (path, type(module).__qualname__, tuple(_facts(module))) for path, module in net.named_modules()
    )


@dataclass(frozen=True, eq=False)
class Template:
    """An int8 graph of one structure. ``rigid``: its channels cannot be read off the network's layers."""

    graph: Graph
    rigid: bool

    def resized(self, net: nn.Module) -> Graph:
        """The int8 graph of a network of the same structure, with zeros for learned weights."""
        assert not self.rigid
        return _resized(self.graph, _outputs(self.graph, net))


def template(net: nn.Module, image_shape: tuple[int, int, int], labels: tuple[str, ...]) -> Template:
    """Traces and quantises ``net`` with dummy ranges.

    Raises:
        UnsupportedOpError: it has a layer that the graph lacks.
    """
    lowered = float_graph(net, image_shape, labels)
    graph = to_integer(lowered, ranges.choose(lowered, {}))
    found = _outputs(graph, net)
    if any(op.name not in found for op in graph.ops if isinstance(op.attrs, ops.Conv2D | ops.FullyConnected)):
        return Template(graph, rigid=True)
    again = _resized(graph, found)
    same = all(again.tensors[name].shape == tensor.shape for name, tensor in graph.tensors.items())
    return Template(graph, rigid=not same)


def _facts(module: nn.Module) -> list[tuple[str, str]]:
    facts = [
        (name, repr(value))
        for name, value in vars(module).items()
        if name not in _CHANNELS and isinstance(value, _PLAIN)
    ]
    grouped = getattr(module, "groups", 1)
    facts.append(("grouped", str(isinstance(grouped, int) and grouped > 1)))
    return sorted(facts)


def _outputs(graph: Graph, net: nn.Module) -> dict[str, int]:
    """Output channels of the layers that convolutions and linear operators came from, by operator."""
    layers = dict(net.named_modules())
    found = {}
    for op in graph.ops:
        layer = layers.get(op.name, layers.get(op.name.rpartition(".")[0]))
        weight = getattr(layer, "weight", None)
        if weight is not None and isinstance(op.attrs, ops.Conv2D | ops.FullyConnected):
            found[op.name] = int(weight.shape[0])
    return found


def _resized(graph: Graph, outputs: Mapping[str, int]) -> Graph:
    tensors = dict(graph.tensors)
    for op in graph.ops:
        x, y = tensors[op.inputs[0]].shape, tensors[op.outputs[0]].shape
        match op.attrs:
            case ops.Conv2D():
                kernel = tensors[op.inputs[1]].shape
                weights: Shape = (outputs[op.name], *kernel[1:3], x[-1])
            case ops.DepthwiseConv2D():
                kernel = tensors[op.inputs[1]].shape
                weights = (*kernel[:3], x[-1])
            case ops.FullyConnected():
                weights = (outputs[op.name], x[-1])
            case ops.Reshape():
                weights, y = (), (y[0], math.prod(x[1:]))
            case ops.Concat():
                weights, y = (), (*y[:-1], sum(tensors[name].shape[-1] for name in op.inputs))
            case _:
                weights, y = (), (*y[:-1], x[-1])
        if weights:
            count = weights[channel_axis(op)]
            y = (*y[:-1], count)
            w, b = tensors[op.inputs[1]], tensors[op.inputs[2]]
            tensors[w.name], tensors[b.name] = _constants(op, w, b, weights, count)
        tensors[op.outputs[0]] = replace(tensors[op.outputs[0]], shape=y)
    return graph.replace(tensors=tensors)


def _constants(op: Op, w: Tensor, b: Tensor, shape: Shape, count: int) -> tuple[Tensor, Tensor]:
    """Weights and biases of another size: an average's repeated, learned ones zero, each with a scale."""
    assert w.data is not None and b.data is not None and w.quant is not None and b.quant is not None
    if getattr(op.attrs, "constant", False):
        kernel, bias = np.broadcast_to(w.data[..., :1], shape), np.broadcast_to(b.data[:1], (count,))
        scales = (np.repeat(w.quant.scale[:1], count), np.repeat(b.quant.scale[:1], count))
    else:
        kernel, bias = np.broadcast_to(np.int8(0), shape), np.broadcast_to(np.int32(0), (count,))
        scales = (np.arange(1, count + 1, dtype=np.float32),) * 2  # learned scales differ by channel
    return (
        replace(w, shape=shape, data=kernel, quant=QParams(scales[0], 0, w.quant.axis)),
        replace(b, shape=(count,), data=bias, quant=QParams(scales[1], 0, b.quant.axis)),
    )
