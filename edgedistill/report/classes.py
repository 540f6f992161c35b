"""Sets each class's right answers of the student beside its teacher's, the greatest losses first."""

from __future__ import annotations

from dataclasses import dataclass

from edgedistill.record import BuildRecord

MOST = 40  # classes that are listed: with more, those that changed most


@dataclass(frozen=True)
class ClassRow:
    """Shares 0..1 of a class's ``images`` that are answered rightly; ``teacher`` None: unknown."""

    label: str
    images: int
    student: float
    teacher: float | None

    @property
    def change(self) -> float:
        """Of the share, from the teacher to the student; 0 without a teacher."""
        return 0.0 if self.teacher is None else self.student - self.teacher


def rows(record: BuildRecord) -> tuple[ClassRow, ...]:
    """Classes with test images; by change from the teacher, or by share where there is none."""
    taught = record.accuracy.teacher_by_class
    found = []
    for i, counts in enumerate(record.confusion):
        images = sum(counts)
        if images:
            teacher = taught[i] / images if i < len(taught) else None
            label = record.labels[i] if i < len(record.labels) else str(i)
            found.append(ClassRow(label, images, counts[i] / images, teacher))
    return tuple(sorted(found, key=lambda row: (row.change, row.student, row.label)))


def shown(found: tuple[ClassRow, ...]) -> tuple[ClassRow, ...]:
    """At most ``MOST``: of more, the worst and the best halves."""
    return found if len(found) <= MOST else (*found[: MOST // 2], *found[-MOST // 2 :])
