"""Assistants, generations, no teacher at all: who teaches whom, each kept, mistakes told before training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgedistill import recipe as recipes
from edgedistill import students, succession
from edgedistill.build import build, load_data
from edgedistill.data.types import ImageData
from edgedistill.deliver import Run
from edgedistill.errors import InputError
from edgedistill.recipe import Recipe
from edgedistill.report.html import render
from edgedistill.reporter import QuietReporter
from edgedistill.store import Store
from edgedistill.teachers.types import Teacher
from edgedistill.teaching import load_teacher
from edgedistill.training import distil
from edgedistill.tune import tune

TINY = {
    "data.limit": 256,
    "distill.epochs": 2,
    "distill.batch": 64,
    "distill.views": 1,
    "distill.precision": "float32",
    "quantise.epochs": 0,
    "student.spec": "resnet:width=4",
    "export.formats": ("onnx",),
    "export.float32": False,
    "bench.runs": 10,
    "bench.warmup": 1,
}


def tiny(**more: object) -> Recipe:
    return recipes.resolve(None, {**TINY, **more})


class _Stopped(Exception):
    pass


class _Log(QuietReporter):
    """Keeps stages and notes; stops in the second epoch of a stage, if it is asked to."""

    def __init__(self, stop_in: str = "") -> None:
        self.stages: list[str] = []
        self.notes: list[str] = []
        self.stop_in = stop_in

    def stage(self, name: str, detail: str = "") -> None:
        self.stages.append(name)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def progress(self, done: int, total: int, fields: object) -> None:
        if self.stages[-1] == self.stop_in and done > total // 2:
            raise _Stopped


def started(
    recipe: Recipe, out: Path, reporter: QuietReporter | None = None
) -> tuple[Run, ImageData, Teacher]:
    run = Run(recipe, Store(out), reporter or _Log())
    data = load_data(run, None)
    return run, data, load_teacher(recipe, len(data.labels), data.image_shape)


def succeed(recipe: Recipe, out: Path, reporter: QuietReporter | None = None) -> tuple[Run, np.ndarray]:
    """The student's weights at the end of the chain, as one vector."""
    run, data, teacher = started(recipe, out, reporter)
    spec = students.parse(recipe.student.spec)
    own, last = succession.teach(run, spec, data, teacher)
    state, _ = distil(own, spec, data, last)
    return run, np.concatenate([value.ravel() for value in state.values()])


def test_the_chain_in_its_order() -> None:
    recipe = tiny(**{"distill.assistants": ["resnet:width=8", "resnet:width=6"], "distill.generations": 2})
    links = succession.chain(recipe, students.parse(recipe.student.spec))
    assert [(link.role, link.recipe.student.spec) for link in links] == [
        ("assistant 1", "resnet:width=8"),
        ("assistant 2", "resnet:width=6"),
        ("generation 1", "resnet:width=4"),
        ("generation 2", "resnet:width=4"),
    ]
    assert [link.recipe.seed for link in links][:3] == [0, 0, 0] and links[3].recipe.seed not in range(100)
    for link in links:  # each as if it were alone, so that another chain finds it
        assert link.recipe.distill == tiny().distill


def test_without_a_chain_the_training_is_the_recipes_own() -> None:
    (link,) = succession.chain(tiny(), students.parse("resnet:width=4"))
    assert link.recipe == tiny()


def test_a_stop_in_generation_2_loses_nothing(tmp_path: Path) -> None:
    recipe = tiny(**{"distill.generations": 3})
    run, whole = succeed(recipe, tmp_path / "whole")
    with pytest.raises(_Stopped):
        succeed(recipe, tmp_path / "broken", _Log("generation 2"))
    log = _Log()
    again, weights = succeed(recipe, tmp_path / "broken", log)
    np.testing.assert_array_equal(weights, whole)
    assert again.lineage == run.lineage and again.hashes == run.hashes
    assert "generation 1" not in log.stages  # it was found
    assert {"float student: found, not trained again", "resumes after epoch 1"} <= set(log.notes)
    assert [one.role for one in run.lineage] == ["generation 1", "generation 2"]
    assert len({hash_ for name, hash_ in run.hashes.items() if name.startswith("distill")}) == 3


def test_a_longer_chain_goes_on_from_a_shorter_one(tmp_path: Path) -> None:
    succeed(tiny(), tmp_path)  # the student alone is generation 1
    log = _Log()
    succeed(tiny(**{"distill.generations": 2}), tmp_path, log)
    assert [name for name in log.stages if name in ("generation 1", "distil")] == ["distil"]


def test_an_assistant_teaches_the_student(tmp_path: Path) -> None:
    _, alone = succeed(tiny(), tmp_path)
    run, taught = succeed(tiny(**{"distill.assistants": ["resnet:width=6"]}), tmp_path)
    assert not np.array_equal(alone, taught)
    (one,) = run.lineage
    assert (one.role, one.network, one.parameters) == ("assistant 1", "resnet:width=6", 11338)
    assert 0 < one.accuracy < 1
    assert "assistant 1, distil" in run.seconds and "assistant 1, soft targets" not in run.seconds  # shared


def test_nobody_teaches_the_first_generation(tmp_path: Path) -> None:
    """A whole build: labels first, then itself; the record and the page name both."""
    recipe = tiny(**{"teacher.spec": "none", "distill.generations": 2, "distill.losses": [{"name": "dkd"}]})
    links = succession.chain(recipe, students.parse("resnet:width=4"))
    assert (links[0].recipe.distill.alpha, links[0].recipe.distill.losses) == (0.0, ())
    assert links[1].recipe.distill.losses == recipe.distill.losses
    log = _Log()
    record = build(recipe, tmp_path, reporter=log)["android-arm64"]
    assert [name for name in log.stages if name != "data"][:3] == ["generation 1", "soft targets", "distil"]
    assert record.accuracy.teacher is None and record.accuracy.student_int8 is not None
    assert [(one.role, one.network) for one in record.lineage] == [("generation 1", "resnet:width=4")]
    assert "Generation 1, resnet:width=4" in render(record, ())
    assert recipes.load(tmp_path / "android-arm64" / "recipe.toml") == recipe


def test_losses_that_need_no_teacher_are_kept_for_the_first() -> None:
    losses = [{"name": "hard-labels"}, {"name": "byot"}, {"name": "soft-targets"}]
    recipe = tiny(**{"teacher.spec": "none", "distill.generations": 2, "distill.losses": losses})
    first, _ = succession.chain(recipe, students.parse("resnet:width=4"))
    assert [loss.name for loss in first.recipe.distill.losses] == ["hard-labels", "byot"]


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"teacher.spec": "none"}, r"no teacher, and the loss 'hinton' looks at one.*generations = 2"),
        ({"distill.assistants": ["resnt"]}, r"no student named 'resnt'.*resnet"),
        (
            {"distill.assistants": ["resnet:width=8", "resnet:resolution=16"]},
            r"in their size.*assistants\[1\].*leave its resolution out",
        ),
        (
            {
                "distill.assistants": ["mobilenet:width=8"],
                "distill.losses": [{"name": "hint", "taps": ["blocks.0 <- layer1"]}],
            },
            r"has no layer",  # of the assistant or of the teacher: found before any training
        ),
    ],
)
def test_mistakes_are_told_before_training(tmp_path: Path, more: dict[str, object], text: str) -> None:
    recipe, log = tiny(**more), _Log()
    _, data, teacher = started(recipe, tmp_path, log)
    with pytest.raises(InputError, match=f"(?s){text}") as caught:
        succession.check(recipe, students.parse(recipe.student.spec), data, teacher)
    assert caught.value.exit_code == 2 and log.stages == ["data"]


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"distill.generations": 2}, r"distill\.generations"),
        ({"distill.assistants": ["resnet:width=8"]}, r"distill\.assistants"),
        ({"teacher.spec": "none"}, r"teacher\.spec"),
    ],
)
def test_tune_takes_one_training_of_one_teacher(tmp_path: Path, more: dict[str, object], key: str) -> None:
    with pytest.raises(InputError, match=rf"(?s)tune trains students of one teacher.*{key}"):
        tune(tiny(**more), tmp_path, trials=1)


def test_several_teachers_are_each_checked_and_recorded(tmp_path: Path) -> None:
    members = [{"spec": "digits"}, {"spec": "digits", "normalisation": "half", "weight": 3.0}]
    losses = [{"name": "hinton"}, {"name": "attention", "taps": ["blocks.1 <- 1:layer2"]}]
    recipe = tiny(**{"teachers": members, "distill.combine": "confidence", "distill.losses": losses})
    record = build(recipe, tmp_path)["android-arm64"]
    assert [one.role for one in record.lineage] == ["teacher 1", "teacher 2"]
    assert all(one.accuracy > 0.9 for one in record.lineage)
    assert record.accuracy.teacher is not None and record.accuracy.teacher > 0.9
    assert recipes.load(tmp_path / "android-arm64" / "recipe.toml") == recipe
