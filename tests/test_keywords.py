"""Keyword spotting, the whole way: a folder of clips to a verified student and its front end in C."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from edgedistill import tasks
from edgedistill.cli.app import app
from edgedistill.data import frontend
from edgedistill.recipe import Recipe
from tests import sounds

TEACHER = """
from torch import nn
def make(classes):
    return nn.Sequential(nn.Conv2d(1, 4, 3, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(4, classes))
"""
FLAGS = (
    "--student=dscnn:width=8,depth=1",
    "--epochs=8",
    "--quantise-epochs=1",
    "--alpha=0",
    "--formats=onnx,tflite",
    "--set=distill.batch=16",
    "--set=distill.lr=0.05",
    "--set=distill.ema=0.5",
    "--set=bench.runs=10",
)


def build(data: Path, out: Path, *more: str) -> Result:
    file = data.parent / "nets.py"
    file.write_text(TEACHER)
    arguments = ["build", "--data", str(data), "--teacher", f"{file}:make", "--out", str(out)]
    return CliRunner().invoke(app, [*arguments, *FLAGS, *more])


def test_a_folder_of_clips_becomes_a_verified_student(tmp_path: Path) -> None:
    data = sounds.class_folders(tmp_path / "words", speakers=16, each=2)
    result = build(data, tmp_path / "out")
    assert result.exit_code == 0, result.output
    folder = tmp_path / "out" / "android-arm64"
    record = json.loads((folder / "record.json").read_text())
    assert record["input_shape"] == [1, 49, 40, 1] and record["labels"] == ["_silence_", "high", "low"]
    assert record["accuracy"]["student_int8"] > 0.6  # chance is a third
    measured = [row for row in record["parity"] if row["how"] == "measured" and row["family"] == "F"]
    assert len(measured) == 2 and all(row["identical"] == row["values"] > 0 for row in measured)
    assert record["graph"]["exact_by_construction"]
    assert record["recipe"]["data"]["augment"] == list(tasks.TASKS["keyword-spotting"].augmentations or ())
    assert frontend.tables().sha256 in (folder / "frontend.h").read_text()
    assert {"frontend.h", "frontend.c"} <= {artifact["path"] for artifact in record["artifacts"]}
    assert frontend.describe().encode() in (folder / "student.tflite").read_bytes()
    assert "test clips in every runtime" in result.output
    assert "nothing to do" in build(data, tmp_path / "out").output


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("1.wav", b"RIFF", "broken"),
        ("1.txt", b"x", "no image files"),
        (None, b"", "the folder is empty"),
    ],
)
def test_bad_folders_end_in_words(tmp_path: Path, name: str | None, content: bytes, words: str) -> None:
    root = tmp_path / "words"
    root.mkdir()
    for word in ("yes", "no") if name else ():
        (root / word).mkdir()
        for i in range(4):
            (root / word / f"{i}{name}").write_bytes(content)
    result = build(root, tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert words in result.output and "Traceback" not in result.output


def test_the_task_fills_in_what_the_recipe_leaves_open() -> None:
    sound = tasks.resolved(Recipe(), "keyword-spotting")
    assert sound.student.spec == "dscnn" and "noise" in sound.data.augmentations
    image = tasks.resolved(Recipe(), "image-classification")
    assert image.student.spec == "resnet" and image.data == Recipe().data
    assert tasks.resolved(sound, "image-classification") == sound


def test_clips_are_features_of_one_channel() -> None:
    assert frontend.features(np.zeros((1, frontend.SAMPLES), np.int16)).shape == (1, 49, 40, 1)
