"""From a float graph, scales and trained weights to the integer graph that is deployed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgedistill.ir import ops
from edgedistill.ir.graph import DType, Graph, Op, QParams, Tensor
from edgedistill.ir.interpret import apply_function
from edgedistill.ir.verify import check

_WEIGHTED = (ops.Conv2D, ops.DepthwiseConv2D, ops.FullyConnected)
LEAST_SCALE = np.float32(1e-8)  # of weights
BIAS_ROOM = np.float32(2**30)


def channel_axis(op: Op) -> int:
    """The axis of a weight tensor that holds output channels."""
    return 3 if isinstance(op.attrs, ops.DepthwiseConv2D) else 0


def roomy(s_w: NDArray[np.float32], b: NDArray[np.float32], s_x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weight scales [O] under which biases stay within half of int32: a channel whose weights are all but 0,
    as pruning or a BatchNorm with a small factor leave it, would have a scale too fine for its bias."""
    return np.asarray(np.maximum(s_w, np.abs(b.astype(np.float32)) / (s_x * BIAS_ROOM)), np.float32)


def weight_scale(w: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Symmetric scale per output channel: the largest magnitude becomes 127 (never -128)."""
    largest = np.abs(w).max(axis=tuple(i for i in range(w.ndim) if i != axis))
    return np.asarray(np.maximum(largest.astype(np.float32) / np.float32(127), LEAST_SCALE), np.float32)


def to_integer(
    graph: Graph,
    qparams: Mapping[str, QParams],
    weight_scales: Mapping[str, NDArray[np.float32]] | None = None,
) -> Graph:
    """The integer graph: int8 activations (int16 by ``qparams``) and weights, int32 biases of ``s_x * s_w``.

    Args:
        graph: float, with the weights to deploy.
        qparams: of every activation.
        weight_scales: float32 [O] by operators' names; the others' are ``weight_scale``.
    """
    learned = weight_scales or {}
    tensors = {
        name: replace(graph.tensors[name], dtype=_dtype(qparams[name]), quant=qparams[name])
        for name in graph.activations()
    }
    result: list[Op] = []
    for op in graph.ops:
        if isinstance(op.attrs, _WEIGHTED):
            w, b = graph.tensors[op.inputs[1]], graph.tensors[op.inputs[2]]
            assert w.data is not None and b.data is not None
            axis = channel_axis(op)
            s_w = learned[op.name] if op.name in learned else weight_scale(w.data, axis)
            s_w = roomy(s_w, b.data, qparams[op.inputs[0]].scale)
            along = s_w.reshape([-1 if i == axis else 1 for i in range(w.data.ndim)])
            data = np.clip(np.rint(w.data / along), -127, 127).astype(np.int8)
            s_b = (qparams[op.inputs[0]].scale * s_w).astype(np.float32)
            bias = np.rint(b.data.astype(np.float64) / s_b.astype(np.float64)).astype(np.int32)
            tensors[w.name] = replace(w, dtype="int8", data=data, quant=QParams(s_w, 0, axis))
            tensors[b.name] = replace(b, dtype="int32", data=bias, quant=QParams(s_b, 0, 0))
        elif isinstance(op.attrs, ops.Table):
            x, y = qparams[op.inputs[0]], qparams[op.outputs[0]]
            table = Tensor(f"{op.outputs[0]}.table", (256,), "int8", data=_table(op.attrs, x, y))
            tensors[table.name] = table
            op = replace(op, inputs=(op.inputs[0], table.name))
        result.append(op)
    integer = graph.replace(tensors=tensors, ops=tuple(result))
    check(integer)
    return integer


def _dtype(q: QParams) -> DType:
    return "int16" if q.bits == 16 else "int8"


def _table(attrs: ops.Table, x: QParams, y: QParams) -> NDArray[np.int8]:
    """The 256 answers of a unary function, rounded half to even."""
    real = (np.arange(-128, 128) - x.zero_point).astype(np.float64) * float(x.scale[0])
    q = np.rint(apply_function(attrs, real) / float(y.scale[0])) + y.zero_point
    return np.asarray(np.clip(q, -128, 127), np.int8)
