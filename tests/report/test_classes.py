"""Each class beside its teacher's, the greatest loss first."""

from __future__ import annotations

import pytest

from edgedistill.record import BuildRecord
from edgedistill.report import classes
from edgedistill.report.html import render


def test_the_greatest_loss_comes_first(record: BuildRecord) -> None:
    small = record.model_copy(
        update={
            "labels": ("a", "b", "c"),
            "confusion": ((6, 4, 0), (0, 20, 0), (0, 0, 0)),
            "accuracy": record.accuracy.model_copy(update={"teacher_by_class": (9, 19, 0)}),
        }
    )
    first, second = classes.rows(small)  # c has no test example
    assert (first.label, first.images, first.student, first.teacher) == ("a", 10, 0.6, 0.9)
    assert first.change == pytest.approx(-0.3) and second.change == pytest.approx(0.05)
    page = render(small)
    assert "−30.0 points" in page and "+5.0 points" in page and "Class by class" in page


def test_without_a_teacher_the_worst_class_comes_first(record: BuildRecord) -> None:
    rows = classes.rows(record)
    assert [row.student for row in rows] == sorted(row.student for row in rows)
    assert all(row.teacher is None and row.change == 0 for row in rows)
    assert "points</td>" not in render(record).split("Class by class")[1].split("</section>")[0]


def test_of_many_classes_the_ends_are_shown(record: BuildRecord) -> None:
    n = 200
    many = record.model_copy(
        update={
            "labels": tuple(map(str, range(n))),
            "confusion": tuple(tuple(i + 1 if i == j else 1 for j in range(n)) for i in range(n)),
        }
    )
    rows = classes.rows(many)
    assert len(rows) == n and classes.shown(rows) == (*rows[:20], *rows[-20:])
    assert "40 of 200 classes" in render(many)
