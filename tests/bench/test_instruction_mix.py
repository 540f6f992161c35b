"""Rows of what instructions were: they add up, say what they are a share of, or why there are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgedistill import target
from edgedistill.bench import instruction_mix
from edgedistill.errors import GateError
from edgedistill.ir import plan
from edgedistill.ir.graph import Graph
from edgedistill.runners.cortex_m import mix
from edgedistill.runners.cortex_m.classes import CLASSES
from edgedistill.runners.cortex_m.mix import Function, Mix

M4 = target.load("cortex-m4")


def made_up() -> Mix:
    """Of two functions."""
    first = Function("edge_dot", {kind: 100 + i for i, kind in enumerate(CLASSES)}, 800, 8)
    second = Function("timed", {kind: 0 for kind in CLASSES} | {"loads": 2}, 8, 0)
    return Mix((first, second))


def test_rows(graph: Graph) -> None:
    rows = {m.quantity: m for m in instruction_mix.rows(made_up(), "c on a machine", M4, graph)}
    assert tuple(rows) == instruction_mix.QUANTITIES
    assert {m.how for m in rows.values()} == {"emulated"} and {m.count for m in rows.values()} == {1}
    assert sum(m.value or 0 for m in rows.values() if m.unit == "instructions") == 7 * 100 + 21 + 2
    assert (rows["loads"].value, rows["loaded_bytes"].value, rows["stored_bytes"].value) == (105, 808, 8)
    macs = sum(plan.macs(graph).values())
    assert rows["loads"].note.startswith("14.5% of the first input's 723: what reads memory")
    assert rows["loads"].note.endswith(f"; {105 / macs:.3g} for each of {macs:,} MACs")
    assert rows["stored_bytes"].unit == "bytes" and "MACs" not in rows["stored_bytes"].note


def test_no_rows_without_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tuple(instruction_mix.rows("no plugins", "c on a machine", M4))
    assert {m.how for m in rows} == {"not run"} and {m.note for m in rows} == {"no plugins"}
    assert len(rows) == len(instruction_mix.QUANTITIES) and all(m.value is None for m in rows)

    def fails(*_: object, **__: object) -> Mix:
        raise GateError("the emulator's plugin counted 1 instructions, the counter 2")

    monkeypatch.setattr(mix, "reason_not_countable", lambda cc: None)
    monkeypatch.setattr(mix, "count", fails)
    x = np.zeros((1, 4), np.int8)
    assert "counted 1 instructions" in str(instruction_mix.count(Path("c"), M4, x, "gcc"))
    monkeypatch.setattr(mix, "reason_not_countable", lambda cc: f"{cc} has no objdump")
    assert instruction_mix.count(Path("c"), M4, x, "gcc") == "gcc has no objdump"
