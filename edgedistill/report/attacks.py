"""Says what attackers achieved on the student and its teacher: rows of a table, and a sentence before it."""

from __future__ import annotations

from dataclasses import dataclass

from edgedistill.record import Attacked, Robustness
from edgedistill.report import people


@dataclass(frozen=True)
class Row:
    """One attack in words: shares of the images that are answered rightly, and counts."""

    attack: str
    teacher: str
    student_float: str
    student_int8: str
    transferred: str
    only_float: str
    only_int8: str


def rows(made: Robustness) -> tuple[Row, ...]:
    """A row per attack, the unchanged images first."""
    return tuple(
        Row(
            attack=name(row),
            teacher=teacher(made, row),
            student_float=people.percent(row.student_float),
            student_int8=people.percent(row.student_int8),
            transferred=people.percent(row.transferred),
            only_float=people.count(row.only_float),
            only_int8=people.count(row.only_int8),
        )
        for row in made.attacks
    )


def name(row: Attacked) -> str:
    """An attack as people write it."""
    return {"none": "none", "autoattack": "AutoAttack"}.get(row.attack, row.attack.upper())


def teacher(made: Robustness, row: Attacked) -> str:
    """The teacher's share under that attack."""
    found = made.teacher
    if found is None:
        return people.MISSING
    return people.percent({"none": found.clean, found.attack: found.robust}.get(row.attack))


def sentence(made: Robustness) -> str:
    """What was done, by what, and what was not."""
    said = (
        f"Share of right top answers on {people.count(made.images)} test images, of which an attacker may "
        f"change every value by at most {made.epsilon} of 255, in {people.duration(made.seconds)}."
    )
    said += f" AutoAttack is {made.autoattack}." if made.autoattack else " AutoAttack was not run."
    if made.teacher is not None:
        note = made.teacher.note
        said += f" The teacher was not attacked: {note}." if note else " The teacher met PGD alone."
    return said
