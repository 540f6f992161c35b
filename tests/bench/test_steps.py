"""Steps of a network: the device's cost model where there is one, else timed here."""

from __future__ import annotations

import pytest

from edgedistill import target
from edgedistill.bench import steps
from edgedistill.sizing import cost
from tests.graphs import small_integer_graph

GRAPH = small_integer_graph(3)


def test_a_device_with_a_model_is_predicted() -> None:
    board = target.load("nucleo-l4r5zi")
    found = steps.steps(GRAPH, board)
    assert found is not None and (found.unit, found.how, found.runtime) == ("instructions", "modelled", "c")
    (whole,) = (p for p in cost.predict(GRAPH, board, "c") if p.quantity == "instructions")
    assert sum(row.value for row in found.rows) == pytest.approx(whole.value)
    steps_of = {name for row in found.rows for name in row.ops}
    assert steps_of == {op.name for op in GRAPH.ops if op.kind != "RESHAPE"}  # which C does without a step


def test_a_device_without_one_is_timed_here() -> None:
    phone = target.load("iphone-a15")
    assert not cost.parts(GRAPH, phone, cost.runtime_of(phone))
    found = steps.steps(GRAPH, phone)
    assert found is not None and (found.unit, found.how) == ("ms", "measured")
    assert all(row.value > 0 and row.float32 is not None for row in found.rows) and found.rows


def test_nothing_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "_HERE", ())
    assert steps.steps(GRAPH, target.load("iphone-a15")) is None
