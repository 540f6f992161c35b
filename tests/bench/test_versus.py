"""Two models in mirrored turns: a ratio with an interval that covers what is known of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgedistill.bench import pairs
from edgedistill.bench.latency import in_turns
from edgedistill.bench.places import Request
from edgedistill.bench.versus import versus
from edgedistill.errors import InputError
from tests.bench.test_figures import _Clock


def test_drift_that_both_suffer_is_not_in_the_ratio() -> None:
    drift = [np.full(5, 1.0 + 0.3 * i) for i in range(12)]
    facts = dict(artifact="new", against="old", runtime="r", device="d", threads=1)
    m = pairs.ratio([0.8 * part for part in drift], drift, **facts)  # type: ignore[arg-type]
    assert m.value == pytest.approx(0.8) and m.low == pytest.approx(0.8) and m.high == pytest.approx(0.8)
    assert (m.count, m.unit) == (12, "×") and m.note.endswith("faster")
    same = pairs.ratio(drift[:7], [d * f for d, f in zip(drift, (0.9, 1.1) * 6, strict=True)][:7], **facts)  # type: ignore[arg-type]
    assert same.note.endswith("no difference is told")


def test_turns_go_on_until_the_medians_are_known_or_time_is_up() -> None:
    log: list[tuple[str, int, int]] = []
    x = np.zeros((1, 2), np.int8)
    models = {name: (_Clock(log, name), x) for name in ("a", "b")}  # times rise for ever
    turns = in_turns(models, None, warmup=3, seconds=0)  # type: ignore[arg-type]
    assert [len(turn) for turn in turns["a"]] == [1, 2, 4] == [len(turn) for turn in turns["b"]]


def test_two_folders_meet_by_file_name(pristine: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, names in ((old, ("onnx", "tflite")), (new, ("onnx",))):
        folder.mkdir()
        for name in (*(f"student.{suffix}" for suffix in names), "golden.npz"):
            shutil.copy(pristine / name, folder / name)
    found = versus(Request(new, runs=60, warmup=1), old).measurements
    assert [m.artifact for m in found] == [str(folder / "student.onnx") for folder in (new, old, new)]
    assert [m.quantity for m in found] == ["latency", "latency", "latency_ratio"]
    ratio = found[2]
    assert ratio.count == 10 and ratio.low is not None and ratio.high is not None
    assert ratio.low <= (ratio.value or 0) <= ratio.high and found[0].count == 60


@pytest.mark.parametrize(
    ("one", "two", "on", "words"),
    [
        ("", "", "here", "not compared with itself"),
        ("", "student.onnx", "here", "are a folder and a file"),
        ("student.onnx", "student.tflite", "emulator", "compared on this machine"),
        ("student.onnx", "nothing.onnx", "here", "no such file"),
    ],
)
def test_what_is_no_comparison(pristine: Path, one: str, two: str, on: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        versus(Request(pristine / one, on), pristine / two)
