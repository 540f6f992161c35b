"""Short distillations are halved as planned, kept, resumed, and never see a test image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edgedistill.data.types import ImageData, Split
from edgedistill.errors import GateError
from edgedistill.recipe import Recipe
from edgedistill.reporter import QuietReporter, Reporter
from edgedistill.sized import Candidate
from edgedistill.sizing import finalists
from edgedistill.store import Store
from edgedistill.teachers.types import NOBODY, Teacher

RECIPE = Recipe.model_validate({"data": {"augment": []}, "distill": {"views": 2, "lr": 2.0, "batch": 64}})


@dataclass
class Run:
    recipe: Recipe
    store: Store
    reporter: Reporter


class _Unread(Split):
    """A test split that nobody may look at."""

    def rows(self, rows: object) -> Split:
        raise AssertionError("the test split was read")


def toy(side: int = 8) -> ImageData:
    """Two classes told apart by brightness of the upper half."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 120, (300, side, side, 1)).astype(np.uint8)
    labels = np.arange(300) % 2
    images[labels == 1, : side // 2] += 100
    train, validation = (Split(images[a:b], labels[a:b].astype(np.int64)) for a, b in ((0, 240), (240, 300)))
    unread = _Unread(np.full((1, side, side, 1), 7, np.uint8), np.zeros(1, np.int64))
    return ImageData("toy", train, validation, unread, ("dark", "bright"), f"toy{side}")


def able(classes: int, channels: int) -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(4 * channels, classes))


def blind(classes: int, channels: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), Nothing(channels, classes))


class Nothing(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(0 * x)


ABLE, BLIND = f"{__name__}:able", f"{__name__}:blind"


class Asked:
    """A teacher that counts the images that it was asked about."""

    def __init__(self) -> None:
        self.images = 0

    def teacher(self) -> Teacher:
        def logits(images: np.ndarray) -> np.ndarray:
            self.images += len(images)
            bright = images[:, : images.shape[1] // 2].mean((1, 2, 3)) / 20 - 5
            return np.stack([-bright, bright], 1).astype(np.float32)

        return Teacher("toy", logits, "toy")


def candidate(student: str, resolution: int | None = None) -> Candidate:
    return Candidate(
        student=student, resolution=resolution, parameters=1, macs=1, arena_bytes=1, flash_bytes=1
    )


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(RECIPE, Store(tmp_path), QuietReporter())


Calls = list[tuple[str, int, int]]


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, float]], Calls]:
    """In place of training: accuracies by student, nan for one that diverges; lists who was trained."""

    def installed(accuracy: dict[str, float]) -> Calls:
        calls: Calls = []

        def train(
            run: object, lesson: finalists.Lesson, student: str, epochs: int, reporter: object
        ) -> finalists.Trained:
            calls.append((student, epochs, len(lesson.data.train)))
            if accuracy[student] != accuracy[student]:
                raise GateError("the loss became nan", where="distill", fix="lower distill.lr")
            return finalists.Trained(accuracy[student], 1.0)

        monkeypatch.setattr(finalists, "train", train)
        return calls

    return installed


@given(st.integers(0, 200), st.integers(1, 20), st.integers(1, 3))
def test_rungs_halve_and_double(count: int, keep: int, epochs: int) -> None:
    ladder = finalists.rungs(count, keep, epochs)
    assert [rung.students for rung in ladder][:1] == ([count] if count else [])
    assert [rung.epochs for rung in ladder] == [epochs * 2**i for i in range(len(ladder))]
    for before, after in pairwise(ladder):
        assert max(before.students / 2, keep) <= after.students < max(before.students / 2, keep) + 1
    assert not ladder or ladder[-1].students == min(count, keep)


def test_the_better_half_goes_on(run: Run, trainings: Callable[[dict[str, float]], Calls]) -> None:
    names = [f"resnet:width={w}" for w in (4, 5, 6, 7, 8)]
    calls = trainings(dict(zip(names, (0.5, 0.9, 0.3, 0.7, 0.8), strict=True)))
    found = finalists.rank(run, [candidate(name) for name in names], toy(), NOBODY, keep=2, budget=1500)
    first, second, third = names[1], names[4], names[3]
    assert [(name, epochs) for name, epochs, _ in calls] == [
        *((name, 1) for name in names),
        *((name, 2) for name in (first, second, third)),
        *((name, 4) for name in (first, second)),
    ]
    assert [(one.candidate.student, one.epochs) for one in found] == [(first, 4), (second, 4)]
    assert {images for *_, images in calls} == {1500 // (5 + 6 + 8)}  # the budget is shared


def test_a_student_that_diverges_is_out(run: Run, trainings: Callable[[dict[str, float]], Calls]) -> None:
    trainings({"a": float("nan"), "b": 0.4, "c": 0.5})
    found = finalists.rank(run, [candidate(name) for name in "abc"], toy(), NOBODY, keep=1)
    assert [one.candidate.student for one in found] == ["c"]


def test_all_that_diverge_say_what_to_lower(run: Run, trainings: Callable[[dict[str, float]], Calls]) -> None:
    trainings({"a": float("nan")})
    with pytest.raises(GateError, match="no short distillation came to an end") as caught:
        finalists.rank(run, [candidate("a")], toy(), NOBODY, keep=1)
    assert "lower distill.lr (now 2)" in str(caught.value)


def test_no_candidates_no_finalists(run: Run) -> None:
    assert finalists.rank(run, [], toy(), NOBODY, keep=3) == ()


def test_students_that_learn_more_win_and_the_teacher_is_asked_once(run: Run) -> None:
    asked = Asked()
    found = finalists.rank(
        run, [candidate(BLIND), candidate(ABLE)], toy(), asked.teacher(), keep=1, budget=1440, epochs=3
    )
    (best,) = found
    assert (best.candidate.student, best.epochs, best.images) == (ABLE, 6, 120) and best.accuracy > 0.9
    assert asked.images == 2 * 120


def test_a_second_call_trains_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked()
    some = [candidate(ABLE), candidate(BLIND)]
    first = finalists.rank(run, some, toy(), asked.teacher(), keep=1, budget=480)
    monkeypatch.setattr(finalists, "fit", None)
    assert finalists.rank(run, some, toy(), asked.teacher(), keep=1, budget=480) == first
    assert asked.images == 2 * 120


def test_what_was_broken_off_goes_on(run: Run, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    class Stops(QuietReporter):
        def progress(self, done: int, total: int, fields: object) -> None:
            if done > 0.8 * total and total > 10:
                raise Stopped

    some = [candidate(ABLE), candidate(BLIND)]
    whole = finalists.rank(run, some, toy(), Asked().teacher(), keep=1, budget=480)
    other = Run(RECIPE, Store(tmp_path / "other"), Stops())
    with pytest.raises(Stopped):
        finalists.rank(other, some, toy(), Asked().teacher(), keep=1, budget=480)
    again = finalists.rank(
        replace(other, reporter=QuietReporter()), some, toy(), Asked().teacher(), keep=1, budget=480
    )
    assert [(one.candidate, one.accuracy) for one in again] == [
        (one.candidate, one.accuracy) for one in whole
    ]


def test_a_candidate_of_another_resolution_learns_from_data_of_it(
    run: Run, trainings: Callable[[dict[str, float]], Calls], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings({"a": 0.5, "b": 0.6})
    made: list[int] = []
    original = finalists.lesson

    def lesson(*given: object, **more: object) -> finalists.Lesson:
        found = original(*given, **more)  # type: ignore[arg-type]
        made.append(found.data.image_shape[0])
        return found

    monkeypatch.setattr(finalists, "lesson", lesson)
    some = [candidate("a"), candidate("b", 16), candidate("b", 16)]
    finalists.rank(run, some, toy(), NOBODY, keep=3, at=lambda side: (toy(side), NOBODY))
    assert made == [8, 16]
