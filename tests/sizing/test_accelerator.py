"""What is foretold of untrained weights holds for trained ones within the band; without Vela it is absent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgedistill import target
from edgedistill.runners import vela
from edgedistill.sizing import accelerator
from tests.graphs import integer_cases

U55 = target.load("corstone-300-ethos-u55-128")
RESULTS = Path(__file__).parents[2] / "benchmarks/results/ethos-u.json"


def test_the_band_is_that_of_the_benchmark() -> None:
    rows = json.loads(RESULTS.read_text())["rows"]
    cycles = {(row["model"], row["target"], row["form"]): row["cycles"] for row in rows}
    ratios = [
        cycles[model, device, "compiled"] / cycles[model, device, "random"]
        for model, device, form in cycles
        if form == "random"
    ]
    low, high = accelerator.TRAINED
    inside = [ratio for ratio in ratios if low <= ratio <= high]
    assert len(ratios) == 14 and len(inside) == 13


@pytest.mark.skipif(vela.reason_not_runnable() is not None, reason=vela.reason_not_runnable() or "")
def test_a_prediction_says_what_it_rests_on() -> None:
    (found,) = accelerator.predict(integer_cases(0)["conv_same"], U55)
    assert found.unit == "ms" and found.low < found.value < found.high
    assert found.source.startswith("vela 5") and "ethos-u55-128" in found.source
    assert found.words.startswith("predicted ")


def test_nothing_is_predicted_where_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = integer_cases(0)["conv_same"]
    assert accelerator.predict(graph, target.load("cortex-m55")) == ()
    monkeypatch.setattr(vela, "reason_not_runnable", lambda: "not installed")
    assert accelerator.predict(graph, U55) == ()
