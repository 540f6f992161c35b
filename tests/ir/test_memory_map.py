"""The map shows every tensor where and when the plan places it."""

from __future__ import annotations

from edgedistill.ir import memory_map, plan
from edgedistill.ir.plan import ArenaPlan, Placement
from tests.graphs import small_integer_graph

TWO = ArenaPlan(
    (
        Placement("x", 0, 64, 0, 1),
        Placement("x_flat", 0, 64, 0, 1),
        Placement("y", 64, 32, 1, 2),
        Placement("z", 0, 1, 2, 2),
    ),
    peak=128,
    lower_bound=96,
)


def test_rows_are_steps_and_columns_bytes() -> None:
    lines = memory_map.text(TWO, "here").splitlines()
    assert lines[0] == "memory, here: 128 bytes; no plan is below 96; a column is 2 bytes"
    assert lines[1] == f"step   0 |{'A' * 32}{'.' * 32}|"
    assert lines[2] == f"step   1 |{'A' * 32}{'B' * 16}{'.' * 16}|"
    assert lines[3] == f"step   2 |C{'.' * 31}{'B' * 16}{'.' * 16}|"
    assert lines[5].split(maxsplit=4) == ["A", "0", "64", "0-1", "x, x_flat"]


def test_a_plan_without_tensors() -> None:
    assert "no tensor needs the arena" in memory_map.text(ArenaPlan((), 0, 0), "here")


def test_blocks_that_live_at_once_never_share_bytes() -> None:
    graph = small_integer_graph(3)
    found = memory_map.blocks(plan.arena(graph).tensors)
    assert sum(len(block.names) for block in found) == len(graph.activations())
    for i, a in enumerate(found):
        for b in found[i + 1 :]:
            apart = a.offset + a.size <= b.offset or b.offset + b.size <= a.offset
            assert apart or a.last < b.first or b.last < a.first
