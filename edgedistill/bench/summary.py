"""Sums up a graph for its record: what it costs, where its values lie, and which operators are not exact."""

from __future__ import annotations

from edgedistill.export import c
from edgedistill.ir import plan, verify
from edgedistill.ir.graph import Graph
from edgedistill.record import GraphSummary, PlannedFlash


def summary(graph: Graph, *, as_c: bool, flash: PlannedFlash | None = None) -> GraphSummary:
    """Of an int8 graph.

    Args:
        graph: with its final weights.
        as_c: its arena is that of the C files, fused and in place.
        flash: as planned for the device.
    """
    memory = c.arena(graph, as_c=as_c)
    inexact = verify.inexact(graph)
    return GraphSummary(
        macs=sum(plan.macs(graph).values()),
        weight_bytes=plan.weight_bytes(graph),
        arena_bytes=memory.peak,
        parameters=plan.parameters(graph),
        ops=len(graph.ops),
        exact_by_construction=not inexact,
        inexact_ops=tuple(f"{op}: {why}" for op, why in inexact),
        arena_lower_bound_bytes=memory.lower_bound,
        arena=memory.tensors,
        flash=flash,
    )
