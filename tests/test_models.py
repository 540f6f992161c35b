"""The models of this repository are what their expected.json says, on any machine, to the bit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedistill import data as data_sets
from edgedistill import teachers
from edgedistill.bench.accuracy import to_int8
from edgedistill.bench.files import sha256_of
from edgedistill.bench.parity import verify_dir
from edgedistill.ir import golden, interpret, serial, verify
from edgedistill.recipe import DataSection, TeacherSection, builtin_models
from edgedistill.runners.litert import LiteRt
from edgedistill.runners.ort import Ort

MODELS = Path(str(builtin_models()))
RESNET8 = MODELS / "cifar10-resnet8"


def expected(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "expected.json").read_text()))


@pytest.mark.parametrize("folder", [MODELS / "digits", RESNET8], ids=lambda p: p.name)
def test_files_are_the_ones_described(folder: Path) -> None:
    files = expected(folder)["files"]
    assert files
    for name, about in files.items():
        assert sha256_of(folder / name) == about["sha256"], name
        assert (folder / name).stat().st_size == about["size_bytes"], name
    assert (folder / "card.md").read_text().startswith("#")


def test_the_digits_teacher_is_as_good_as_said(tmp_path: Path) -> None:
    data = data_sets.load(DataSection(), seed=0, cache=tmp_path)
    teacher = teachers.load(TeacherSection(), classes=10, image_shape=data.image_shape)
    answers = teacher.logits(np.asarray(data.test.images_NHWC)).argmax(1)
    assert float((answers == data.test.labels).mean()) == expected(MODELS / "digits")["accuracy"]["teacher"]


def test_resnet8_is_exact_and_verifies_in_every_runtime() -> None:
    assert not verify.inexact(serial.load(RESNET8 / "graph.npz"))
    for name in ("student.tflite", "student.onnx"):
        for row in verify_dir(RESNET8 / name):
            assert row.identical == row.values > 0, row


def test_resnet8_reached_its_goal() -> None:
    accuracy = expected(RESNET8)["accuracy"]
    assert accuracy["student_int8"] >= 0.885
    assert accuracy["student_float"] - accuracy["student_int8"] <= 0.003


def test_resnet8_gives_the_same_bits_here(real_data: Path, tmp_path: Path) -> None:
    section = DataSection(source=str(real_data / "cifar10"), validation_share=0.01)
    test = data_sets.load(section, seed=0, cache=tmp_path).test
    x = to_int8(np.asarray(test.images_NHWC))
    about = expected(RESNET8)
    for runner in (LiteRt(RESNET8 / "student.tflite"), Ort(RESNET8 / "student.onnx")):
        outputs = np.concatenate([runner.run(x[i : i + 250]) for i in range(0, len(x), 250)])
        assert hashlib.sha256(outputs.tobytes()).hexdigest() == about["outputs"]["sha256"]
        assert float((outputs.argmax(1) == test.labels).mean()) == about["accuracy"]["student_int8"]


def test_golden_vectors_are_the_graphs_own() -> None:
    graph = serial.load(RESNET8 / "graph.npz")
    vectors = golden.load(RESNET8 / "golden.npz")
    outputs = interpret.run(graph, {graph.inputs[0]: vectors.inputs})[graph.outputs[0]]
    np.testing.assert_array_equal(outputs, vectors.outputs)
