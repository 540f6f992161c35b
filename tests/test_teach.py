"""A taught teacher is what a build loads: the same answers, the same bytes again, and a card that is true."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from edgedistill import data as data_sets
from edgedistill import teachers
from edgedistill.bench.files import sha256_of
from edgedistill.errors import InputError, TeacherError, UnknownNameError
from edgedistill.recipe import TeacherSection
from edgedistill.reporter import QuietReporter
from edgedistill.teach import TeacherRecord, choose, teach
from edgedistill.teachers import families

TINY = {"data.limit": 200, "distill.epochs": 2, "distill.precision": "float32"}


class Notes(QuietReporter):
    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def net(num_classes: int) -> nn.Module:
    """Takes colour images only; found by the spec below."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, num_classes),
    )


def broken(num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(7, num_classes))


def wrong(classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TeacherRecord]:
    out = tmp_path_factory.mktemp("taught")
    family, recipe = choose("auto", TINY)
    assert family == "digits"
    return out, teach(recipe, family, out)


def test_the_spec_loads_what_was_trained(taught: tuple[Path, TeacherRecord], tmp_path: Path) -> None:
    out, record = taught
    assert record.spec == f"{out}/teacher.safetensors@edgedistill.teachers.architectures:digits_teacher"
    data = data_sets.load(choose("digits", TINY)[1].data, seed=0, cache=tmp_path)
    teacher = teachers.load(TeacherSection(spec=record.spec), classes=10, image_shape=data.image_shape)
    right = teacher.logits(np.asarray(data.test.images_NHWC)).argmax(1) == data.test.labels
    assert float(right.mean()) == record.accuracy > 0.1
    assert record.test_examples == len(data.test) and record.parameters == 94_642
    assert sha256_of(out / "teacher.safetensors") == record.sha256


def test_the_card_says_what_the_record_says(taught: tuple[Path, TeacherRecord]) -> None:
    out, record = taught
    card = (out / "card.md").read_text()
    for words in (
        record.sha256,
        f"{record.accuracy:.4f} of",
        "94,642 parameters",
        f"--teacher {record.spec}",
    ):
        assert words in card
    assert TeacherRecord.model_validate_json((out / "teacher.json").read_bytes()) == record
    assert json.loads((out / "teacher.json").read_text())["recipe"]["distill"]["alpha"] == 0.0
    assert record.robustness is None and "adversarial" not in record.recipe and "robust" not in card


def test_again_is_nothing_and_elsewhere_the_same_bytes(
    taught: tuple[Path, TeacherRecord], tmp_path: Path
) -> None:
    out, record = taught
    notes = Notes()
    family, recipe = choose("auto", TINY)
    assert teach(recipe, family, out, reporter=notes) == record
    assert any("nothing to do" in text for text in notes.notes)
    assert teach(recipe, family, tmp_path).sha256 == record.sha256


def test_altered_weights_are_mended_from_the_finished_training(taught: tuple[Path, TeacherRecord]) -> None:
    out, record = taught
    (out / "teacher.safetensors").write_bytes(b"")
    family, recipe = choose("auto", TINY)
    notes = Notes()
    assert teach(recipe, family, out, reporter=notes).sha256 == record.sha256
    assert "float student: found, not trained again" in notes.notes


def test_a_module_of_the_users_sees_grey_images_three_times(tmp_path: Path) -> None:
    overrides = {**TINY, "distill.epochs": 1, "teacher.normalisation": "half"}
    family, recipe = choose("tests.test_teach:net", overrides)
    record = teach(recipe, family, tmp_path)
    assert record.spec.endswith("teacher.safetensors@tests.test_teach:net")
    assert record.choices == {"teacher.normalisation": "half"}
    assert "--set teacher.normalisation=half" in (tmp_path / "card.md").read_text()


@pytest.mark.parametrize(
    ("family", "error", "words"),
    [
        ("resnet65", UnknownNameError, "did you mean resnet56"),
        ("tests.test_teach:nowhere", TeacherError, "has no 'nowhere'"),
        ("tests.test_teach:broken", TeacherError, "fails on an image"),
        ("tests.test_teach:wrong", TeacherError, r"shape \[1, 3\] for one image"),
    ],
)
def test_a_network_that_cannot_be_taught(
    tmp_path: Path, family: str, error: type[Exception], words: str
) -> None:
    _, recipe = choose(family, TINY)
    with pytest.raises(error, match=words):
        teach(recipe, family, tmp_path)
    assert not (tmp_path / "teacher.safetensors").exists()


def test_a_grey_network_refuses_colour_images() -> None:
    with pytest.raises(TeacherError, match=r"takes 1 channel\(s\), the images have 3"):
        families.begin("digits", TeacherSection(), classes=10, image_channels=3, pretrained=False)


def test_every_family_can_be_built_and_the_user_overrides_its_training() -> None:
    for name in families.FAMILIES:
        begun = families.begin(name, TeacherSection(), classes=5, image_channels=1, pretrained=False)
        assert begun.spec(Path("w.safetensors")).startswith("w.safetensors@edgedistill.teachers.")
    _, recipe = choose("digits", {"distill.lr": 0.5})
    assert (recipe.distill.lr, recipe.distill.optimiser, recipe.distill.epochs) == (0.5, "adamw", 60)


def test_a_teacher_is_made_robust_from_labels_alone(tmp_path: Path) -> None:
    keys = {**TINY, "distill.epochs": 1, "adversarial.method": "pgd", "adversarial.steps": 1}
    family, recipe = choose("digits", keys)
    record = teach(recipe, family, tmp_path)
    card, told = ((tmp_path / name).read_text() for name in ("card.md", "teacher.json"))
    assert "changed by PGD within 8/255" in card
    assert record.robustness is not None and record.robustness.robust is not None
    assert record.robustness.robust <= (record.robustness.clean or 0.0)
    assert f"{record.robustness.robust:.4f} of {record.robustness.images:,} test images under pgd-20" in card
    assert json.loads(told)["recipe"]["adversarial"]["method"] == "pgd"
    with pytest.raises(InputError, match="not mixed and attacked at once"):
        teach(choose("digits", {**keys, "distill.mixup": 0.5})[1], family, tmp_path)
    with pytest.raises(InputError, match="a teacher learns from labels, 'rslad' from a teacher"):
        teach(choose("digits", {**TINY, "adversarial.method": "rslad"})[1], family, tmp_path)
