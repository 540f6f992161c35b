"""``bench`` of C files on an emulator is a gate: other bytes end it with exit code 1, printed or not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgedistill.bench import instruction_mix, measure
from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.ir import golden, serial
from tests.bench.test_emulated import stand_in
from tests.bench.test_instruction_mix import made_up
from tests.cli.conftest import Run
from tests.graphs import random_input, small_integer_graph

GRAPH = small_integer_graph(3)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With C files, and a stand-in for the emulator that answers every byte rightly."""
    made = tmp_path / "build"
    c.write(GRAPH, Metadata("small", "", GRAPH.labels, 1 / 64, 0, "0"), made / "c")
    golden.save(golden.golden(GRAPH, random_input(GRAPH, 100)), made / "golden.npz")
    (made / "graph.npz").write_bytes(serial.to_bytes(GRAPH))
    stand_in(monkeypatch, golden.load(made / "golden.npz").outputs)
    monkeypatch.setattr(measure, "bench_dir", lambda path, **more: ())
    return made


@pytest.mark.parametrize("flag", ["", "--json", "--quiet"])
def test_other_bytes_end_it(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, flag: str) -> None:
    command = ("bench", str(folder), "--target", "cortex-m4", "--trust", *flag.split())
    right = run(*command)
    assert right.exit_code == 0, right.stderr
    wrong = np.array(golden.load(folder / "golden.npz").outputs)
    wrong.reshape(-1)[5] ^= 1
    stand_in(monkeypatch, wrong)
    result = run(*command)
    assert result.exit_code == 1 and "differs from the interpreter on 1 of 1,000 values" in result.stderr
    assert str(folder / "c") in result.stderr.replace("\n", "") and "Traceback" not in result.stderr
    if flag == "--json":
        told = json.loads(result.stdout)
        assert {row["quantity"] for row in told["measurements"]} >= {"instructions", "flash_bytes"}
        (parity,) = told["parity"]
        assert (parity["values"], parity["identical"]) == (1000, 999)
    elif flag == "--quiet":
        assert not result.stdout
    else:
        assert "identical, emulated" in right.output and "1 differ, at most 1 LSB" in result.output


def test_the_instructions_function_by_function(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("bench", str(folder), "--on", "emulator", "--target", "cortex-m4", "--trust")
    none = json.loads(run(*command, "--mix", "--json").stdout)
    assert "functions" not in none and none["measurements"][-1]["note"] == "a stand-in has no plugin"
    monkeypatch.setattr(instruction_mix, "count", lambda *given: made_up())
    told = json.loads(run(*command, "--mix", "--json").stdout)
    assert [(row["function"], row["instructions"], row["loads"]) for row in told["functions"]] == [
        ("edge_dot", 721, 103),
        ("timed", 2, 2),
    ]
    counted = {row["quantity"]: row["value"] for row in told["measurements"]}
    assert (counted["loads"], counted["stored_bytes"]) == (105, 8)
    assert "functions" not in json.loads(run(*command, "--json").stdout)
    words = run(*command, "--mix").stdout
    assert "edge_dot" in words and "723" in words and "edge_dot" not in run(*command).stdout


def test_family_d_without_its_golden_vectors(run: Run, folder: Path) -> None:
    c.write(GRAPH, Metadata("small", "", GRAPH.labels, 1 / 64, 0, "0"), folder / "c", "D")
    result = run("bench", str(folder), "--target", "cortex-m4", "--trust")
    assert result.exit_code == 2 and "these are not golden vectors" in result.stderr
