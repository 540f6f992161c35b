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
DATA_FREE = MODELS / "cifar10-datafree"
KEYWORDS = MODELS / "speech-commands-dscnn"
STUDENTS = {
    RESNET8: DataSection(source="cifar10", validation_share=0.01),
    DATA_FREE: DataSection(source="cifar10", validation_share=0.01),
    KEYWORDS: DataSection(source="speech_commands"),
}
each_student = pytest.mark.parametrize("folder", STUDENTS, ids=lambda p: p.name)


def expected(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "expected.json").read_text()))


@pytest.mark.parametrize("folder", [MODELS / "digits", *STUDENTS], ids=lambda p: p.name)
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


@each_student
def test_a_student_is_exact_and_verifies_in_every_runtime(folder: Path) -> None:
    assert not verify.inexact(serial.load(folder / "graph.npz"))
    for name in ("student.tflite", "student.onnx"):
        for row in verify_dir(folder / name):
            assert row.identical == row.values > 0, row


def test_resnet8_reached_its_goal() -> None:
    accuracy = expected(RESNET8)["accuracy"]
    assert accuracy["student_int8"] >= 0.885
    assert accuracy["student_float"] - accuracy["student_int8"] <= 0.003


def test_the_data_free_student_reached_its_goal() -> None:
    assert expected(DATA_FREE)["accuracy"]["student_int8"] >= 0.75


@each_student
def test_a_student_gives_the_same_bits_here(folder: Path, real_data: Path, tmp_path: Path) -> None:
    section = STUDENTS[folder]
    section = section.model_copy(update={"source": str(real_data / section.source)})
    test = data_sets.load(section, seed=0, cache=tmp_path).test
    x = to_int8(np.asarray(test.images_NHWC))
    about = expected(folder)
    for runner in (LiteRt(folder / "student.tflite"), Ort(folder / "student.onnx")):
        outputs = np.concatenate([runner.run(x[i : i + 250]) for i in range(0, len(x), 250)])
        assert hashlib.sha256(outputs.tobytes()).hexdigest() == about["outputs"]["sha256"]
        assert float((outputs.argmax(1) == test.labels).mean()) == about["accuracy"]["student_int8"]


@each_student
def test_golden_vectors_are_the_graphs_own(folder: Path) -> None:
    graph = serial.load(folder / "graph.npz")
    vectors = golden.load(folder / "golden.npz")
    outputs = interpret.run(graph, {graph.inputs[0]: vectors.inputs})[graph.outputs[0]]
    np.testing.assert_array_equal(outputs, vectors.outputs)
