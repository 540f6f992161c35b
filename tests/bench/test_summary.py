"""A graph's summary: its arena is that of the C files where there are any."""

from __future__ import annotations

from edgedistill.bench.summary import summary
from edgedistill.ir.graph import Graph
from edgedistill.record import PlannedFlash
from tests.graphs import Builder


def residual() -> Graph:
    """A sum that C overwrites in place: two values of 4,096 bytes live at once, not three."""
    net = Builder("residual", 0)
    x = net.conv(net.input((1, 16, 16, 4)), 16, scale=0.02)
    return net.graph(net.add(net.conv(net.conv(x, 16), 16, scale=0.02), x, 255, 255))


def test_the_arena_of_the_c_files_is_another() -> None:
    graph = residual()
    plain, as_c = summary(graph, as_c=False), summary(graph, as_c=True)
    assert plain.arena_bytes == 3 * 4_096 and 2 * 4_096 < as_c.arena_bytes < plain.arena_bytes
    for found in (plain, as_c):
        lower = found.arena_lower_bound_bytes
        assert lower is not None and lower <= found.arena_bytes
        assert max(place.offset + place.size for place in found.arena) == found.arena_bytes
    assert (plain.ops, plain.macs) == (as_c.ops, as_c.macs) and plain.ops == 4 and plain.exact_by_construction


def test_planned_flash_goes_along() -> None:
    plan = PlannedFlash(code_bytes=1, weight_bytes=2, table_bytes=3, device="A board", compiler="gcc")
    assert summary(residual(), as_c=True, flash=plan).flash == plan
    assert summary(residual(), as_c=False).flash is None
