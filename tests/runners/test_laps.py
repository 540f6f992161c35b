"""Laps: calls around every step, a strict reading of what firmware says, and one run where the tools are."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from edgedistill import target
from edgedistill.errors import GateError, InputError
from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.ir.graph import Graph
from edgedistill.runners import cortex_m
from edgedistill.runners.cortex_m import laps
from edgedistill.runners.cortex_m.machines import MACHINES, Region
from tests.graphs import random_input, small_integer_graph

M4 = target.load("cortex-m4")
MPS2 = MACHINES["mps2-an386"]
SAID = "loop 0009c420\noverhead 00000020\nmodel 00000000\nlap 00000040\nlap 00000c80\nlap 00000040\n"
REASON = cortex_m.reason_not_runnable(M4)
needs_tools = pytest.mark.skipif(REASON is not None, reason=REASON or "")


def model(graph: Graph, name: str = "net") -> c.Model:
    return c.to_text(graph, Metadata(name, "", (), 1.0, 0, "0"))


def test_a_lap_in_front_of_every_step_and_behind_the_last() -> None:
    graph = small_integer_graph(1)
    source = laps.instrumented(model(graph))
    body = source.partition("_invoke(")[2]
    assert body.count("edge_lap();") == 1 + sum(" -> " in line for line in body.splitlines())
    assert source.count("void edge_lap(void);") == 1
    assert "        edge_lap" not in body  # not behind an if


def test_what_firmware_says_is_read_strictly() -> None:
    (found,) = laps.parse(SAID, 1, "mps2", MPS2)
    assert found == laps.Laps(10, (990,), 10)
    for text, reason in (
        (SAID + "Hello\n", "something else"),
        (SAID.replace("model 00000000\n", ""), "something else"),
        (SAID, "1 models of 2"),
        (SAID.replace("0009c420", "0009c000"), "the emulator counted"),
        (SAID.replace("lap 00000c80", "lap 00000000"), "something else"),
    ):
        with pytest.raises(GateError, match=reason):
            laps.parse(text, 2 if "of 2" in reason else 1, "mps2", MPS2)


@needs_tools
def test_the_laps_are_the_inference() -> None:
    """Within the few instructions of the calls around steps that the compiler makes otherwise."""
    graphs = [small_integer_graph(1), small_integer_graph(2)]
    (found,) = laps.count([model(graph, f"net{i}") for i, graph in enumerate(graphs)], M4)
    for graph, one in zip(graphs, found, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            c.write(graph, Metadata("net", "", (), 1.0, 0, "0"), Path(folder))
            whole = cortex_m.run(Path(folder), M4, random_input(graph, 1)).instructions[0]
        assert one.before + sum(one.steps) + one.after == pytest.approx(whole, rel=0.01)
        assert min(one.steps) > 0


def test_a_model_that_no_emulator_holds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = model(small_integer_graph(1))
    assert laps.sizes(made)["INPUT"] == 16 * 16 * 3 and laps.sizes(made)["OUTPUT"] == 10
    small = replace(MPS2, ram=Region(0, 20_000))
    with pytest.raises(InputError, match=r"(?s)too large to emulate.*edgedistill_net"):
        laps.check(made, 1000, small)
    laps.check(made, 1000, MPS2)
