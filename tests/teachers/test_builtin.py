"""The built-in teacher, and the public CIFAR-10 checkpoints where they are at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgedistill import data, teachers
from edgedistill.recipe import DataSection, TeacherSection
from edgedistill.teachers.check import check


def test_digits_teacher_reaches_the_accuracy_of_its_card(tmp_path: Path) -> None:
    digits = data.load(DataSection(), seed=0, cache=tmp_path)
    teacher = teachers.load(TeacherSection(), classes=10, image_shape=digits.image_shape)
    report = check(teacher, digits.test, digits.labels, 100)
    assert teacher.name == "digits" and teacher.parameters == 94642
    assert report.accuracy == pytest.approx(0.9888, abs=0.004) and report.warnings == ()


@pytest.mark.real_data
def test_cifar_resnet20_answers_as_published(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "cifar10" if (real_data / "cifar10").is_dir() else real_data
    section = DataSection(source=str(folder / "test.parquet"), limit=100, test_share=0.04)
    cifar = data.load(section, seed=0, cache=tmp_path)
    assert len(cifar.test) == 200 and cifar.labels[0] == "airplane"
    weights = next((folder / "teachers").glob("resnet20-*.th"))
    spec = f"{weights}@edgedistill.teachers.architectures:cifar_resnet20"
    teacher = teachers.load(TeacherSection(spec=spec), classes=10, image_shape=cifar.image_shape)
    assert (
        teacher.notes[0] == "the state dict was found under 'state_dict'" and "'module.'" in teacher.notes[1]
    )
    accuracy = float(
        (teacher.logits(np.asarray(cifar.test.images_NHWC)).argmax(1) == cifar.test.labels).mean()
    )
    assert accuracy > 0.88
