"""Says what LiteRT's reference kernels compute: family D, except where they were measured to follow F."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.ir import interpret
from edgedistill.ir.graph import Graph

BATCH = 100  # inputs per piece: bounds the memory of the values in between

# LiteRT 2.3.0, BUILTIN_REF, one layer 64 -> 32 with a scale per channel, 128,000 values:
# 0 differ from F, 124 from D. TensorFlow Lite Micro's own kernel is not used here.
ROUNDED_ONCE = frozenset({"FULLY_CONNECTED"})


def litert_reference(graph: Graph, x: NDArray[np.int8]) -> NDArray[np.int8]:
    """The graph's output [N, ...] as LiteRT's reference kernels give it, for inputs int8 [N, ...]."""
    pieces = [
        litert_reference_values(graph, x[start : start + BATCH])[graph.outputs[0]]
        for start in range(0, len(x), BATCH)
    ]
    return np.concatenate(pieces).astype(np.int8, copy=False)


def litert_reference_values(graph: Graph, x: NDArray[np.int8]) -> dict[str, NDArray[Any]]:
    """Every activation, operator by operator, each in the family that the kernel follows."""
    values: dict[str, NDArray[Any]] = {graph.inputs[0]: x}
    for op in graph.ops:
        given = {name: values[name] for name in op.inputs if graph.tensors[name].data is None}
        alone = graph.replace(ops=(op,), inputs=tuple(given), outputs=op.outputs)
        values |= interpret.run(alone, given, "F" if op.kind in ROUNDED_ONCE else "D")
    return values
