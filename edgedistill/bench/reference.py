"""Says what LiteRT's reference kernels compute: family D, but fully connected layers round once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.ir import interpret, numerics
from edgedistill.ir.graph import Graph, Op
from edgedistill.ir.ops import FullyConnected

BATCH = 100  # inputs per piece: bounds the memory of the values in between


def litert_reference(graph: Graph, x: NDArray[np.int8]) -> NDArray[np.int8]:
    """The graph's output [N, ...] as LiteRT's reference kernels give it, for inputs int8 [N, ...]."""
    pieces = [
        litert_reference_values(graph, x[start : start + BATCH])[graph.outputs[0]]
        for start in range(0, len(x), BATCH)
    ]
    return np.concatenate(pieces).astype(np.int8, copy=False)


def litert_reference_values(graph: Graph, x: NDArray[np.int8]) -> dict[str, NDArray[Any]]:
    """Every activation, operator by operator.

    LiteRT has no reference kernel for FULLY_CONNECTED with a scale per channel; ruy multiplies, and
    rounds once (TensorFlow Lite Micro's own kernel rounds twice, as family D).
    """
    values: dict[str, NDArray[Any]] = {graph.inputs[0]: x}
    for op in graph.ops:
        if isinstance(op.attrs, FullyConnected) and not graph.is_int16(op):
            values[op.outputs[0]] = _fully_connected(graph, op, values[op.inputs[0]])
            continue
        given = {name: values[name] for name in op.inputs if graph.tensors[name].data is None}
        alone = graph.replace(ops=(op,), inputs=tuple(given), outputs=op.outputs)
        values |= interpret.run(alone, given, "D")
    return values


def _fully_connected(graph: Graph, op: Op, x: NDArray[np.int8]) -> NDArray[np.int8]:
    w, b = (graph.tensors[name] for name in op.inputs[1:])
    q_x, q_y = graph.tensors[op.inputs[0]].quant, graph.tensors[op.outputs[0]].quant
    assert q_x is not None and q_y is not None and w.quant is not None
    assert w.data is not None and b.data is not None
    acc = interpret.accumulate(op.attrs, x, w.data, b.data, q_x.zero_point)
    s_w = np.broadcast_to(w.quant.scale, (len(w.data),))
    return numerics.requantise_once(acc, q_x.scale[0], s_w, q_y.scale[0], q_y.zero_point)
