"""int8 training in phases: each is one training of the loop, and what cannot work is said before it."""

from pathlib import Path

import numpy as np
import pytest

from edgedistill import recipe as recipes
from edgedistill.build import build
from edgedistill.distill.assistant import Assistant
from edgedistill.distill.views import Views
from edgedistill.errors import InputError
from edgedistill.ir import serial
from edgedistill.ir.verify import inexact
from edgedistill.recipe import QuantiseSection, Recipe

SMALL = {
    "data.limit": 256,
    "distill.batch": 64,
    "distill.epochs": 1,
    "distill.views": 1,
    "quantise.epochs": 1,
    "student.spec": "resnet:width=4",
    "export.formats": ("onnx",),
    "export.float32": False,
    "bench.runs": 10,
    "bench.warmup": 1,
}


def small(**more: object) -> Recipe:
    return recipes.resolve(recipes.example(), {**SMALL, **more})


def test_three_phases_with_learned_scales_and_an_assistant(tmp_path: Path) -> None:
    keys = {"self_study": 1, "co_study": 1, "scales": "learned", "teacher": "both"}
    recipe = small(**{f"quantise.{key}": value for key, value in keys.items()})
    record = build(recipe, tmp_path)["android-arm64"]
    assert [log.epoch for log in record.epochs if log.stage == "quantise"] == [1, 2, 3]
    assert inexact(serial.load(tmp_path / "android-arm64" / "graph.npz")) == ()


def test_defaults_leave_a_stages_hash_as_it_was() -> None:
    assert set(QuantiseSection().model_dump_json().split('"')[1::2]) == {
        "epochs", "lr", "calibration_images", "percentile",
    }  # fmt: skip
    assert '"scales":"learned"' in QuantiseSection(scales="learned").model_dump_json()


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"quantise.teacher": "student", "distill.epochs": 0}, "is not trained"),
        ({"quantise.teacher": "both", "quantise.epochs": 0}, "never be asked"),
        ({"quantise.teacher": "student", "quantise.co_study": 1}, "float student alone would teach"),
    ],
)
def test_what_cannot_work_is_said_before_training(
    tmp_path: Path, changes: dict[str, object], text: str
) -> None:
    with pytest.raises(InputError, match=text):
        build(small(**changes), tmp_path)


def test_an_assistant_answers_alone_or_beside_the_teacher() -> None:
    images, teacher = np.zeros((1, 2, 4, 4, 1), np.uint8), np.full((1, 2, 3), 4, np.float32)
    own = np.full((2, 3), 2, np.float32)
    for alone, expected in ((True, 2), (False, 3)):
        joined = Assistant(lambda _: own, alone).joins(Views(images, teacher))
        assert joined is not None
        assert (joined.batch(0, np.array([0, 1]), 0)[1] == expected).all()
