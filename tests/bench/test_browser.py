"""``bench --on browser``: rows and bytes of both files; what is missing is not run, with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedistill.bench import browser, places
from edgedistill.bench.places import Request
from edgedistill.errors import InputError
from edgedistill.export import onnx, tflite
from edgedistill.export.metadata import Metadata
from edgedistill.ir import golden, serial
from edgedistill.runners.browser import chromium
from tests.graphs import random_input, small_integer_graph
from tests.runners.test_browser import available

__all__ = ["available"]
GRAPH = small_integer_graph(3)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    meta = Metadata("small", "", GRAPH.labels, 1 / 64, 0, "0")
    (tmp_path / "student.onnx").write_bytes(onnx.to_bytes(GRAPH, meta))
    (tmp_path / "student.tflite").write_bytes(tflite.to_bytes(GRAPH, meta))
    golden.save(golden.golden(GRAPH, random_input(GRAPH, 2)), tmp_path / "golden.npz")
    (tmp_path / "graph.npz").write_bytes(serial.to_bytes(GRAPH))
    return tmp_path


@pytest.mark.browser
def test_both_files_answer_rightly(built: Path, available: None) -> None:
    found = places.bench(Request(built, "browser", runs=5, warmup=1))
    assert [row.identical for row in found.parity] == [20, 20] and not any(p.broken for p in found.parity)
    assert {row.how for row in (*found.parity, *found.measurements)} == {"measured"}
    latency = [row for row in found.measurements if row.quantity == "latency"]
    assert [row.artifact for row in latency] == ["student.tflite", "student.onnx"]
    assert all(row.value and row.value > 0 and "the page's clock" in row.note for row in latency)
    assert browser.WRAPPED in latency[0].note and browser.WRAPPED not in latency[1].note


def test_without_a_browser_nothing_is_run(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chromium, "find", lambda given="": None)
    found = places.bench(Request(built, "browser"))
    assert {row.how for row in (*found.parity, *found.measurements)} == {"not run"}
    assert all("there is no Chromium here" in row.note for row in found.parity)


def test_a_program_that_is_named_must_be_there(built: Path) -> None:
    with pytest.raises(InputError, match="there is no program /not/there"):
        places.bench(Request(built, "browser:/not/there"))


def test_a_folder_without_its_graph(built: Path) -> None:
    (built / "graph.npz").unlink()
    with pytest.raises(InputError, match=r"there is no graph\.npz"):
        places.bench(Request(built, "browser"))
