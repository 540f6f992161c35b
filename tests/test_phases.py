"""int8 training in phases: each is one training of the loop, and what cannot work is said before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgedistill import phases, students
from edgedistill import recipe as recipes
from edgedistill.data.types import ImageData
from edgedistill.deliver import Run
from edgedistill.distill.assistant import Assistant
from edgedistill.distill.views import Views
from edgedistill.errors import InputError, TeacherError
from edgedistill.ir import serial
from edgedistill.ir.graph import Graph
from edgedistill.ir.verify import inexact
from edgedistill.recipe import QuantiseSection, Recipe
from edgedistill.record import EpochLog
from edgedistill.reporter import QuietReporter
from edgedistill.store import Store
from edgedistill.teachers.types import Teacher
from edgedistill.training import quantise
from tests.distill import together

PHASES = {"quantise.self_study": 2, "quantise.co_study": 2, "quantise.epochs": 2}
LEARNED = {"quantise.scales": "learned", "quantise.teacher": "both"}


def network(classes: int = 3, channels: int = 1) -> nn.Module:
    """Student and, with other weights, teacher: it fits the images of together.py."""
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, 2, 1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, 2, 1),
        nn.BatchNorm2d(4),
        nn.Flatten(),
        nn.Linear(16, classes),
    )


def teaching_network() -> nn.Module:
    """A torch teacher by its name."""
    torch.manual_seed(7)
    return network()


def small(**more: object) -> Recipe:
    keys = {
        "distill.batch": 24,
        "distill.views": 0,
        "quantise.lr": 0.02,
        "teacher.spec": "tests.test_phases:teaching_network",
        "student.spec": "tests.test_phases:network",
        "data.augment": (),
    }
    return recipes.resolve(None, {**keys, **more})


class _Stopped(Exception):
    pass


class _Stopping(QuietReporter):
    """Stops at a step, as a kill would."""

    def __init__(self, at: int) -> None:
        self.left = at

    def progress(self, done: int, total: int, fields: Mapping[str, str]) -> None:
        self.left -= 1
        if self.left == 0:
            raise _Stopped


def quantised(recipe: Recipe, folder: Path, stop: int = 0) -> tuple[Graph, tuple[EpochLog, ...]]:
    """The integer graph of an untrained student, and the epochs of int8 training."""
    run = Run(recipe, Store(folder), _Stopping(stop), hashes={"distill": "untrained"})
    torch.manual_seed(0)
    spec = students.parse(recipe.student.spec)
    weights = {name: value.numpy() for name, value in spec.build(3, 1).state_dict().items()}
    _, integer, logs = quantise(run, spec, together.data(), together.TEACHER, weights)
    return integer, logs


def test_a_run_that_stops_in_each_phase_gives_the_bits_of_one_that_does_not(tmp_path: Path) -> None:
    recipe = small(**PHASES, **LEARNED)
    whole, logs = quantised(recipe, tmp_path / "whole")
    assert inexact(whole) == () and [log.epoch for log in logs] == [1, 2, 3, 4, 5, 6]
    for at in (6, 10, 10):  # four steps an epoch: in the second of self-studying, co-studying, tutoring
        with pytest.raises(_Stopped):
            quantised(recipe, tmp_path / "broken", stop=at)
    resumed, again = quantised(recipe, tmp_path / "broken")
    assert serial.to_bytes(resumed) == serial.to_bytes(whole)
    assert [log.loss for log in again] == [log.loss for log in logs]


def test_learned_scales_are_deployed(tmp_path: Path) -> None:
    observed, _ = quantised(small(), tmp_path)
    learned, _ = quantised(small(**{"quantise.scales": "learned"}), tmp_path)
    scales = [
        [float(q.scale[0]) for name in graph.activations() if (q := graph.tensors[name].quant)]
        for graph in (observed, learned)
    ]
    assert scales[0][0] == scales[1][0], "the input keeps its scale"
    assert scales[0][1:] != scales[1][1:]
    assert inexact(learned) == ()


def test_defaults_leave_a_stages_hash_as_it_was() -> None:
    assert set(QuantiseSection().model_dump_json().split('"')[1::2]) == {
        "epochs", "lr", "calibration_images", "percentile",
    }  # fmt: skip
    assert '"scales":"learned"' in QuantiseSection(scales="learned").model_dump_json()
    chosen = small(**PHASES, **LEARNED)
    assert recipes.resolve(None, {}).quantise == QuantiseSection()
    assert Recipe.model_validate_json(chosen.model_dump_json()) == chosen


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"quantise.teacher": "student", "distill.epochs": 0}, "is not trained"),
        ({"quantise.teacher": "both", "quantise.epochs": 0}, "never be asked"),
        ({"quantise.teacher": "both", "distill.alpha": 0}, "never be asked"),
        ({"quantise.teacher": "student", "quantise.co_study": 1}, "float student alone would teach"),
        ({"quantise.self_study": 1, "adversarial.method": "pgd"}, "an adversary attacks in tutoring alone"),
        ({"quantise.co_study": 1, "distill.mixup": 1.0}, "learn from whole images"),
        ({"quantise.co_study": 1, "distill.assistants": ("resnet:width=4",)}, "is an assistant"),
        ({"quantise.co_study": 1, "distill.generations": 2}, "is an earlier student"),
        ({"quantise.co_study": 1, "teacher.spec": "none"}, "no teacher is there"),
        ({"quantise.co_study": 1, "distill.alpha": 0}, "no loss asks the teacher"),
    ],
)
def test_what_cannot_work_is_said_before_training(changes: dict[str, object], text: str) -> None:
    with pytest.raises(InputError, match=text):
        phases.check(small(**changes))


def test_co_studying_with_several_teachers() -> None:
    recipe = recipes.resolve(None, {"quantise.co_study": 1, "teachers": [{"spec": "digits"}] * 2})
    with pytest.raises(InputError, match=r"(?s)there are several.*\[\[teachers\]\]"):
        phases.check(recipe)


def test_co_studying_in_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match=r"(?s)learns along in one process.*2 processes"):
        phases.check(small(**{"quantise.co_study": 1}))


@pytest.mark.parametrize("phase", ["self_study", "co_study"])
def test_a_phase_that_needs_labels(phase: str) -> None:
    with pytest.raises(InputError, match=rf"(?s)2 of 100 training examples have none.*quantise\.{phase}"):
        phases.check_data(small(**{f"quantise.{phase}": 1}), unlabelled())


def unlabelled() -> ImageData:
    data = together.data()
    labels = np.where(np.arange(100) < 2, -1, data.train.labels)
    return replace(data, train=replace(data.train, labels=labels))


def network_in_onnx(file: Path) -> None:
    import onnx

    x, y = (
        onnx.helper.make_tensor_value_info(name, 1, ["n", *s]) for name, s in (("x", (1, 8, 8)), ("y", (64,)))
    )
    node = onnx.helper.make_node("Flatten", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [x], [y])
    opset = onnx.helper.make_opsetid("", 17)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), str(file))


def test_co_studying_with_a_teacher_that_gradients_do_not_reach(tmp_path: Path) -> None:
    file = tmp_path / "teacher.onnx"
    network_in_onnx(file)
    recipe = small(**{"quantise.co_study": 1, "teacher.spec": str(file)})
    with pytest.raises(
        TeacherError, match=r"(?s)co-studying needs a torch teacher.*or quantise\.co_study = 0"
    ):
        phases.check_data(recipe, together.data())


def test_the_baseline_learns_from_labels_for_as_many_epochs() -> None:
    choices = small(**PHASES, **LEARNED).quantise
    alone = phases.untaught(choices)
    assert (alone.self_study, alone.co_study, alone.epochs, alone.teacher) == (4, 0, 2, "teacher")
    assert phases.untaught(QuantiseSection()) == QuantiseSection()


def test_an_assistant_answers_alone_or_beside_the_teacher() -> None:
    images, teacher = np.zeros((1, 2, 4, 4, 1), np.uint8), np.full((1, 2, 3), 4, np.float32)
    own = np.full((2, 3), 2, np.float32)
    for alone, expected in ((True, 2), (False, 3)):
        joined = Assistant(lambda _: own, alone).joins(Views(images, teacher))
        assert joined is not None
        assert (joined.batch(0, np.array([0, 1]), 0)[1] == expected).all()


def test_an_assistant_stays_beside_a_teacher_that_is_told_labels() -> None:
    def answering(value: float) -> Teacher:
        return Teacher("t", lambda images: np.full((len(images), 3), value, np.float32), "t")

    told = replace(answering(0), knowing=lambda labels: answering(float(labels.sum())))
    helped = Assistant(lambda images: np.zeros((len(images), 3), np.float32), alone=False).helps(told)
    assert helped.knowing is not None
    answers = helped.knowing(np.array([3, 5])).logits(np.zeros((2, 4, 4, 1), np.uint8))
    np.testing.assert_array_equal(answers, np.full((2, 3), 4))
