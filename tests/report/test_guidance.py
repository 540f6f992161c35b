"""Every rule speaks on one side of its threshold and is silent on the other."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edgedistill.record import BuildRecord, EpochLog
from edgedistill.report import guidance as rules
from edgedistill.report.html import render

FLAT = (0.80,) * 20


@pytest.fixture
def quiet(record: BuildRecord) -> BuildRecord:
    """A build that no rule has anything to say of."""
    good = record.accuracy.model_copy(
        update={
            "teacher": 0.95,
            "teacher_confidence": 0.96,
            "student_float": 0.90,
            "student_int8": 0.90,
            "student_train": 0.97,
            "test_images": 1000,
            "validation_images": 1000,
        }
    )
    return with_curve(record.model_copy(update={"accuracy": good}), (0.90,) * 20)


def with_curve(record: BuildRecord, curve: Sequence[float]) -> BuildRecord:
    logs = tuple(
        EpochLog(
            stage="distill",
            epoch=i,
            loss=1.0,
            validation_accuracy=accuracy,
            images_per_s=1.0,
            seconds=1.0,
            lr=0.1,
        )
        for i, accuracy in enumerate(curve, 1)
    )
    return record.model_copy(update={"epochs": logs})


def with_accuracy(record: BuildRecord, **changes: float | None) -> BuildRecord:
    return record.model_copy(update={"accuracy": record.accuracy.model_copy(update=changes)})


def with_choice(record: BuildRecord, section: str, key: str, value: float) -> BuildRecord:
    old = record.recipe[section]
    assert isinstance(old, dict)
    return record.model_copy(update={"recipe": {**record.recipe, section: {**old, key: value}}})


def test_a_good_build_needs_no_advice(quiet: BuildRecord) -> None:
    assert rules.guidance(quiet) == ()
    assert "What to try next" not in render(quiet)


def test_an_old_record_gives_no_advice_that_it_has_no_figures_for(quiet: BuildRecord) -> None:
    bare = {"teacher": None, "teacher_confidence": None, "student_train": None, "student_float": None}
    assert rules.guidance(with_accuracy(quiet, **bare)) == ()
    assert rules.guidance(quiet.model_copy(update={"epochs": (), "recipe": {}})) == ()


@pytest.mark.parametrize(
    ("curve", "speaks"),
    [
        ((0.8,) * 18 + (0.8051, 0.8051), True),
        ((0.8,) * 18 + (0.8049, 0.8049), False),
        ((0.7,) * 16 + (0.8,) * 4, False),  # rose before, flat at the end
        ((0.5, 0.6, 0.7, 0.8, 0.9), True),
        ((0.5, 0.6, 0.7, 0.8), False),  # four epochs are a trial
        (FLAT, False),
    ],
)
def test_still_rising(quiet: BuildRecord, curve: Sequence[float], speaks: bool) -> None:
    text = rules.still_rising(with_curve(quiet, curve))
    assert (text is not None) == speaks
    if text is not None:
        assert f"--epochs {2 * len(curve)}" in text


def test_a_rise_of_two_examples_is_chance(quiet: BuildRecord) -> None:
    rising = with_curve(quiet, (0.8,) * 18 + (0.81, 0.81))
    assert rules.still_rising(with_accuracy(rising, validation_images=299)) is None
    assert rules.still_rising(with_accuracy(rising, validation_images=301)) is not None


@pytest.mark.parametrize(
    ("int8", "images", "speaks"),
    [
        (0.894, 1000, True),
        (0.8951, 1000, False),
        (0.894, 499, False),
        (0.894, 501, True),
        (0.95, 1000, False),
    ],
)
def test_int8_loses(quiet: BuildRecord, int8: float, images: int, speaks: bool) -> None:
    record = with_accuracy(quiet, student_float=0.9, student_int8=int8, test_images=images)
    assert (rules.int8_loses(record) is not None) == speaks


def test_int8_advice_depends_on_what_was_done(quiet: BuildRecord) -> None:
    lossy = with_accuracy(quiet, student_int8=0.88)
    assert "--quantise-epochs 8" in (rules.int8_loses(lossy) or "")
    untrained = with_choice(lossy, "quantise", "epochs", 0)
    assert "train in int8, too" in (rules.int8_loses(untrained) or "")


@pytest.mark.parametrize(
    ("train", "validation", "teacher", "speaks"),
    [
        (0.81, 0.80, 0.95, True),
        (0.821, 0.80, 0.95, False),  # it fits the training examples better: not bound
        (0.81, 0.80, 0.839, False),  # the teacher is near
        (0.81, 0.80, 0.841, True),
    ],
)
def test_capacity_bound(
    quiet: BuildRecord, train: float, validation: float, teacher: float, speaks: bool
) -> None:
    record = with_curve(with_accuracy(quiet, student_train=train, teacher=teacher), (validation,) * 20)
    assert (rules.capacity_bound(record) is not None) == speaks


def test_a_student_that_still_learns_is_not_called_too_small(quiet: BuildRecord) -> None:
    record = with_curve(with_accuracy(quiet, student_train=0.81), (0.7,) * 18 + (0.8, 0.8))
    assert rules.still_rising(record) is not None and rules.capacity_bound(record) is None


@pytest.mark.parametrize(
    ("confidence", "temperature", "alpha", "speaks"),
    [
        (0.96, 4.0, 0.9, True),
        (0.949, 4.0, 0.9, False),
        (0.96, 8.0, 0.9, False),
        (0.96, 7.9, 0.9, True),
        (0.96, 4.0, 0.0, False),
        (0.80, 4.0, 0.9, False),  # less sure than right: softening is no remedy
    ],
)
def test_overconfident(
    quiet: BuildRecord, confidence: float, temperature: float, alpha: float, speaks: bool
) -> None:
    record = with_accuracy(quiet, teacher=0.90, teacher_confidence=confidence)
    record = with_choice(
        with_choice(record, "distill", "temperature", temperature), "distill", "alpha", alpha
    )
    assert (rules.overconfident(record) is not None) == speaks


def test_the_page_says_it_and_every_rule_has_its_reason(quiet: BuildRecord) -> None:
    page = render(with_accuracy(quiet, student_int8=0.88))
    assert "What to try next" in page and "Int8 costs 2.0 points" in page
    assert all("Reason:" in (rule.__doc__ or "") for rule in rules.RULES)


@pytest.mark.parametrize(
    ("plain", "error", "said"),
    [
        (0.895, 0.003, "gave no more than plain training"),
        (0.880, 0.003, None),
        (0.910, 0.003, "distillation hurt"),
        (0.900, 0.0, "gave no more"),
    ],
)
def test_what_the_teacher_gave_is_weighed_against_chance(
    quiet: BuildRecord, plain: float, error: float, said: str | None
) -> None:
    found = rules.no_gain(with_accuracy(quiet, plain_int8=plain, plain_error=error))
    assert found is None if said is None else found is not None and said in found
    assert rules.no_gain(quiet) is None


def test_what_was_said_before_training_comes_last(quiet: BuildRecord) -> None:
    said = quiet.model_copy(update={"guidance": ("the teacher is far larger",)})
    assert rules.guidance(said) == ("the teacher is far larger",)
    assert "The teacher is far larger." in render(said)
    rising = with_curve(said, [i / 20 for i in range(20)])
    assert len(rules.guidance(rising)) == 2 and rules.guidance(rising)[-1] == "the teacher is far larger"
