"""Prints a graph as the .tflite that Vela compiles for an Ethos-U: the same bits, strides that it takes."""

from __future__ import annotations

from dataclasses import replace

from edgedistill.export import tflite
from edgedistill.export.metadata import Metadata
from edgedistill.ir.graph import Graph, Op
from edgedistill.ir.ops import Conv2D, DepthwiseConv2D


def to_bytes(graph: Graph, meta: Metadata) -> bytes:
    """The file's bytes, of an int8 graph."""
    return tflite.to_bytes(one_step(graph), meta)


def one_step(graph: Graph) -> Graph:
    """Windows with a single position get stride 1, which nobody can tell from any other.

    The mean over all positions is a depthwise convolution whose stride is its kernel; Ethos-U takes
    strides up to 3 there (Vela, SUPPORTED_OPS.md, DEPTHWISE_CONV_2D).

    Given: ``DEPTHWISE_CONV_2D x [1,8,8,64] -> y [1,1,1,64], stride (8, 8)``
    Result: ``DEPTHWISE_CONV_2D x [1,8,8,64] -> y [1,1,1,64], stride (1, 1)``
    """
    return graph.replace(ops=tuple(_one_step(graph, op) for op in graph.ops))


def _one_step(graph: Graph, op: Op) -> Op:
    attrs = op.attrs
    if not isinstance(attrs, Conv2D | DepthwiseConv2D):
        return op
    _, h, w, _ = graph.tensors[op.inputs[0]].shape
    _, kh, kw, _ = graph.tensors[op.inputs[1]].shape
    top, bottom, left, right = attrs.pads
    if (h + top + bottom, w + left + right) != (kh, kw):
        return op
    return replace(op, attrs=replace(attrs, stride=(1, 1)))
