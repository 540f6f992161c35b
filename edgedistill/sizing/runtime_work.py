"""What each operator of a network asks of a runtime whose kernels are not ours: LiteRT, ONNX Runtime.

Their kernels multiply in blocks of channels; what fills the last block up is multiplied, too.
"""

from __future__ import annotations

import math

from edgedistill.ir import ops
from edgedistill.ir.graph import Graph, Op
from edgedistill.sizing.work import Work

_CHANNELS = 8  # of a block: XNNPACK's and MLAS's int8 kernels have 8 or 16, and products in fours or eights
_PRODUCTS = 8


def steps(graph: Graph) -> tuple[Work, ...]:
    """One step per operator."""
    return tuple(_work(graph, op) for op in graph.ops)


def _work(graph: Graph, op: Op) -> Work:
    y = graph.tensors[op.outputs[0]].shape
    values = math.prod(y)
    if not isinstance(op.attrs, ops.Conv2D | ops.DepthwiseConv2D | ops.FullyConnected):
        return Work((op.name,), op.kind.lower(), {"calls": 1, "values": values})
    w = graph.tensors[op.inputs[1]].shape
    if isinstance(op.attrs, ops.DepthwiseConv2D):
        channels = _filled(y[3], _CHANNELS)
        kernel = "average" if op.attrs.constant and y[1:3] == (1, 1) else "depthwise"
        pixels = y[1] * y[2]
        counts = {"calls": 1, "products": pixels * channels * w[1] * w[2], "outputs": pixels * channels}
        return Work((op.name,), kernel, counts | {"pixels": pixels * w[1] * w[2]})
    positions = values // y[-1]
    products, channels = math.prod(w[1:]), _filled(w[0], _CHANNELS)
    counts = {
        "calls": 1,
        "products": positions * channels * _filled(products, _PRODUCTS),
        "outputs": positions * channels,
        "positions": positions,
    }
    if isinstance(op.attrs, ops.Conv2D) and w[1:3] != (1, 1):
        return Work((op.name,), "conv", counts | {"unfolded": positions * products})
    return Work((op.name,), "pointwise" if positions > 1 else "dense", counts)


def _filled(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple
