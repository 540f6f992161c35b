"""The passes that turn a trace into the smallest float graph: a plain ordered table, checked after each.

A pass is a pure function of a graph. ``Given:`` and ``Result:`` show what it looks for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from edgedistill.ir import ops
from edgedistill.ir.graph import Graph, Op, Tensor
from edgedistill.ir.verify import check
from edgedistill.lower.aten import HANDLERS

_WEIGHTED = (ops.Conv2D, ops.DepthwiseConv2D, ops.FullyConnected)
_NO_PADS = (0, 0, 0, 0)


def _pointwise(graph: Graph, op: Op) -> bool:
    """A 1x1 depthwise convolution: an affine map per channel."""
    return isinstance(op.attrs, ops.DepthwiseConv2D) and graph.tensors[op.inputs[1]].shape[1:3] == (1, 1)


def _plain(op: Op, *, stride: bool = False, act: bool = False, pads: bool = False) -> bool:
    """No stride, activation or padding but the ones allowed."""
    a = op.attrs
    assert isinstance(a, ops.DepthwiseConv2D)
    return (stride or a.stride == (1, 1)) and (act or a.act == "none") and (pads or a.pads == _NO_PADS)


def _is_identity(graph: Graph, op: Op) -> bool:
    """``_pointwise`` with weights one and bias zero, written to carry an activation or padding."""
    if not _pointwise(graph, op) or not isinstance(op.attrs, ops.DepthwiseConv2D) or not op.attrs.constant:
        return False
    w, b = graph.tensors[op.inputs[1]].data, graph.tensors[op.inputs[2]].data
    return w is not None and b is not None and bool((w == 1).all()) and not b.any()


def _sole_source(graph: Graph, op: Op) -> Op | None:
    """The producer of the operator's first input, if nobody else reads it."""
    x = op.inputs[0]
    if x in graph.outputs or len(graph.consumers(x)) != 1:
        return None
    return graph.producer(x)


def _merged(graph: Graph, first: Op, second: Op, merged: Op, *tensors: Tensor) -> Graph:
    """``first`` replaced by ``merged``, ``second`` removed."""
    kept = tuple(merged if op is first else op for op in graph.ops if op is not second)
    return prune(graph.with_tensors(*tensors).replace(ops=kept))


def prune(graph: Graph) -> Graph:
    """Removes operators and tensors that no output needs."""
    needed, kept = set(graph.outputs), []
    for op in reversed(graph.ops):
        if needed.intersection(op.outputs):
            kept.append(op)
            needed.update(op.inputs)
    needed.update(graph.inputs)
    return graph.replace(
        ops=tuple(reversed(kept)), tensors={k: t for k, t in graph.tensors.items() if k in needed}
    )


def fold_affine(graph: Graph) -> Graph:
    """Folds a per-channel affine map (BatchNorm) into the layer before it.

    Given:  x -> CONV_2D(w, b) -> 1x1 DEPTHWISE(g, s)
    Result: x -> CONV_2D(w * g, b * g + s)          (Jacob et al. 2018, section 3.2)
    """
    for op in graph.ops:
        if not _pointwise(graph, op) or not _plain(op, act=True) or op.attrs.constant:  # type: ignore[union-attr]
            continue
        source = _sole_source(graph, op)
        if source is None or not isinstance(source.attrs, _WEIGHTED) or source.attrs.act != "none":
            continue
        if isinstance(source.attrs, ops.DepthwiseConv2D) and source.attrs.constant:
            continue
        w, b = graph.tensors[source.inputs[1]], graph.tensors[source.inputs[2]]
        gain, shift = graph.tensors[op.inputs[1]].data, graph.tensors[op.inputs[2]].data
        assert w.data is not None and b.data is not None and gain is not None and shift is not None
        gain = gain.reshape(-1)
        along = (
            gain
            if isinstance(source.attrs, ops.DepthwiseConv2D)
            else gain.reshape(-1, *[1] * (w.data.ndim - 1))
        )
        return fold_affine(
            _merged(
                graph,
                source,
                op,
                replace(source, outputs=op.outputs, attrs=replace(source.attrs, act=op.attrs.act)),  # type: ignore[union-attr]
                replace(w, data=(w.data * along).astype(np.float32)),
                replace(b, data=(b.data * gain + shift).astype(np.float32)),
            )
        )
    return graph


def fuse_activation(graph: Graph) -> Graph:
    """Lets the layer before an activation end in it.

    Given:  x -> ADD -> identity(act=relu)
    Result: x -> ADD(act=relu)
    """
    for op in graph.ops:
        if not _is_identity(graph, op) or not _plain(op, act=True):
            continue
        source = _sole_source(graph, op)
        fusible = (*_WEIGHTED, ops.Add, ops.Mul)
        if source is None or not isinstance(source.attrs, fusible) or source.attrs.act != "none":
            continue
        attrs = replace(source.attrs, act=op.attrs.act)  # type: ignore[union-attr]
        return fuse_activation(_merged(graph, source, op, replace(source, outputs=op.outputs, attrs=attrs)))
    return graph


def _padded(attrs: ops.Attrs, more: ops.Pads) -> ops.Attrs:
    assert isinstance(attrs, ops.Conv2D | ops.DepthwiseConv2D)
    top, bottom, left, right = (a + b for a, b in zip(attrs.pads, more, strict=True))
    return replace(attrs, pads=(top, bottom, left, right))


def fold_padding(graph: Graph) -> Graph:
    """Lets a convolution do the zero padding before it.

    Given:  x -> identity(pads=(0,1,0,1)) -> CONV_2D(pads=0)
    Result: x -> CONV_2D(pads=(0,1,0,1))
    """
    for op in graph.ops:
        if not _is_identity(graph, op) or not _plain(op, pads=True) or _plain(op):
            continue
        readers = graph.consumers(op.outputs[0])
        if op.outputs[0] in graph.outputs or not all(
            isinstance(r.attrs, ops.Conv2D | ops.DepthwiseConv2D) for r in readers
        ):
            continue
        more = op.attrs.pads  # type: ignore[union-attr]
        changed = {
            r.name: replace(
                r,
                inputs=(op.inputs[0], *r.inputs[1:]),
                attrs=_padded(r.attrs, more),
            )
            for r in readers
        }
        kept = tuple(changed.get(o.name, o) for o in graph.ops if o is not op)
        return fold_padding(prune(graph.replace(ops=kept)))
    return graph


def fold_stride(graph: Graph) -> Graph:
    """Lets a 1x1 convolution pick the pixels that a slice picked before it.

    Given:  x -> identity(stride=(2,2)) -> 1x1 CONV_2D
    Result: x -> 1x1 CONV_2D(stride=(2,2))
    """
    for op in graph.ops:
        if not _is_identity(graph, op) or not _plain(op, stride=True) or _plain(op):
            continue
        readers = graph.consumers(op.outputs[0])
        reader = readers[0] if len(readers) == 1 and op.outputs[0] not in graph.outputs else None
        if reader is None or not isinstance(reader.attrs, ops.Conv2D | ops.DepthwiseConv2D):
            continue
        if graph.tensors[reader.inputs[1]].shape[1:3] != (1, 1) or reader.attrs.pads != _NO_PADS:
            continue
        (a, b), (c, d) = op.attrs.stride, reader.attrs.stride  # type: ignore[union-attr]
        merged = replace(
            reader,
            inputs=(op.inputs[0], *reader.inputs[1:]),
            attrs=replace(reader.attrs, stride=(a * c, b * d)),
        )
        kept = tuple(merged if o is reader else o for o in graph.ops if o is not op)
        return fold_stride(prune(graph.replace(ops=kept)))
    return graph


def name_by_layer(graph: Graph) -> Graph:
    """Gives an operator its layer's name back where folding left it the only one of the layer.

    Given:  conv1.conv2d_3 (its padding, conv1, was folded into it)
    Result: conv1
    """
    names = [op.name for op in graph.ops]
    result: list[Op] = []
    for op in graph.ops:
        layer, _, node = op.name.rpartition(".")
        others = [n for n in names if n != op.name]
        traced = layer and re.sub(r"_\d+$", "", node) in HANDLERS  # torch's name of a call, no layer's
        free = traced and not any(n == layer or n.startswith(f"{layer}.") for n in others)
        names[len(result)] = layer if free else op.name
        result.append(replace(op, name=names[len(result)]))
    return graph.replace(ops=tuple(result))


PASSES: Mapping[str, Callable[[Graph], Graph]] = {
    "prune": prune,  # what torch traced and nobody reads
    "fold_affine": fold_affine,  # BatchNorm into convolutions
    "fuse_activation": fuse_activation,  # ReLU into what it follows
    "fold_padding": fold_padding,  # explicit padding into convolutions
    "fold_stride": fold_stride,  # every k-th pixel into 1x1 convolutions
    "name_by_layer": name_by_layer,  # operators as the user named the layers
}


def simplify(graph: Graph) -> Graph:
    """Runs all passes in order; the verifier looks at the result of each."""
    check(graph)
    for run in PASSES.values():
        graph = run(graph)
        check(graph)
    return graph
