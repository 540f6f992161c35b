"""What each operator of a network asks of a runtime whose kernels are not ours: LiteRT, ONNX Runtime.

Counted as XNNPACK's int8 kernels loop, which LiteRT uses: products in tiles of four positions by sixteen
channels, tap after tap, by one, four or eight input channels; depthwise windows filled up to 3, 9 or 25 taps
(XNNPACK, src/configs: gemm-config.c, dwconv-config.c). Larger windows, and averages, which have one position,
go product by product. Tiles of other kernels are of other sizes, and their coefficients say the rest.
"""

from __future__ import annotations

import math

from edgedistill.ir import ops
from edgedistill.ir.graph import Graph, Op
from edgedistill.sizing.work import Work

_POSITIONS, _CHANNELS = 4, 16  # of a tile
_BLOCK = 8  # channels of a depthwise window
_TAPS = (3, 9, 25)


def steps(graph: Graph) -> tuple[Work, ...]:
    """One step per operator."""
    return tuple(_work(graph, op) for op in graph.ops)


def _work(graph: Graph, op: Op) -> Work:
    if isinstance(op.attrs, ops.DepthwiseConv2D):
        kernel, counts = _depthwise(graph, op)
    elif isinstance(op.attrs, ops.Conv2D | ops.FullyConnected):
        kernel, counts = _products(graph, op)
    else:
        values = math.prod(graph.tensors[op.outputs[0]].shape)
        kernel, counts = op.kind.lower(), {"calls": 1, "sixteen values": -(-values // 16)}
        if isinstance(op.attrs, ops.MaxPool2D):
            counts["sixteen values by taps"] = counts["sixteen values"] * math.prod(op.attrs.kernel)
    return Work((op.name,), kernel, counts)


def _products(graph: Graph, op: Op) -> tuple[str, dict[str, float]]:
    w, y = graph.tensors[op.inputs[1]].shape, graph.tensors[op.outputs[0]].shape
    positions, taps = math.prod(y[:-1]), math.prod(w[1:-1])
    rows = -(-positions // _POSITIONS)
    tiles = rows * -(-w[0] // _CHANNELS)
    counts: dict[str, float] = {
        "calls": 1,
        "tile rows": rows,
        "tiles": tiles,
        "tiles by products": tiles * taps * w[-1],
        "tiles by four products": tiles * taps * -(-w[-1] // 4),
        "tiles by eight products": tiles * taps * -(-w[-1] // 8),
    }
    if taps > 1:
        return "conv", counts | {"tiles by taps": tiles * taps}
    return "pointwise" if positions > 1 else "dense", counts


def _depthwise(graph: Graph, op: Op) -> tuple[str, dict[str, float]]:
    w, y = graph.tensors[op.inputs[1]].shape, graph.tensors[op.outputs[0]].shape
    taps, pixels = w[1] * w[2], y[1] * y[2]
    filled = next((count for count in _TAPS if taps <= count), None)
    if filled is None or (pixels == 1 and taps > 1):
        counts: dict[str, float] = {"calls": 1, "outputs": pixels * y[3], "products": pixels * y[3] * taps}
        return "average" if pixels == 1 else "large depthwise", counts
    blocks = pixels * -(-y[3] // _BLOCK)
    return "depthwise", {
        "calls": 1,
        "pixels": pixels,
        "pixels by taps": pixels * filled,
        "eight channels": blocks,
        "eight channels by taps": blocks * filled,
    }
