"""Scores of a graph's shapes alone: what a candidate is ranked by before anything is computed with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgedistill.ir import ops, plan
from edgedistill.ir.graph import Graph

Score = Callable[[str, Graph], float]
"""Of a student's spec and its int8 graph: higher is to mean more accurate."""

_EFFECTIVENESS = 0.5  # Shen et al. 2023, section 4.3: depth over width, where deeper nets stop being better


@dataclass(frozen=True)
class Analytic:
    """A row: a score of a graph."""

    score: Callable[[Graph], float]
    summary: str
    source: str


def capacity(graph: Graph) -> float:
    """ln of the geometric mean of parameters and multiplications."""
    macs = sum(plan.macs(graph).values())
    return 0.5 * math.log(max(plan.parameters(graph), 1)) + 0.5 * math.log(max(macs, 1))


def entropy(graph: Graph) -> float:
    """``ln(r^2 c) * sum over layers of ln(c_i k_i^2 / g_i)``, with depth held against width.

    r^2 c are the values before the global average, c_i k_i^2 / g_i the products per output of layer i
    (equation 9). Above ``depth / geometric mean of the products = 0.5`` more depth counts no more.
    """
    products, last = [], 1
    for op in graph.ops:
        if isinstance(op.attrs, ops.Conv2D | ops.DepthwiseConv2D) and not ops.is_constant(op.attrs):
            w = graph.tensors[op.inputs[1]].shape
            deep = math.prod(w[1:3]) if isinstance(op.attrs, ops.DepthwiseConv2D) else math.prod(w[1:])
            products.append(math.log(max(deep, 1)))
            last = math.prod(graph.tensors[op.outputs[0]].shape)
    if not products:
        return 0.0
    depth, mean = len(products), sum(products) / len(products)
    useful = min(depth, _EFFECTIVENESS * math.exp(mean))
    return math.log(max(last, 2)) * mean * useful


ANALYTIC: Mapping[str, Analytic] = {
    "entropy": Analytic(entropy, "entropy of the last features", "Shen et al. 2023, DeepMAD, section 4"),
    "capacity": Analytic(capacity, "mean of ln parameters and ln MACs", "a baseline: size and work alone"),
}
