"""What is said of attackers: the teacher's share only under the attack that it met."""

from __future__ import annotations

from edgedistill.record import AttackedTeacher, BuildRecord, Robustness
from edgedistill.report import attacks


def made(attacked: BuildRecord, teacher: AttackedTeacher | None) -> Robustness:
    assert attacked.robustness is not None
    return attacked.robustness.model_copy(update={"teacher": teacher})


def test_a_teacher_under_pgd_alone(attacked: BuildRecord) -> None:
    assert attacked.robustness is not None
    rows = attacks.rows(attacked.robustness)
    assert [(row.attack, row.teacher) for row in rows] == [
        ("none", "95.1 %"),
        ("PGD-20", "51.2 %"),
        ("AutoAttack", "not run"),
    ]
    assert attacks.sentence(attacked.robustness).endswith("The teacher met PGD alone.")


def test_a_teacher_that_was_not_attacked(attacked: BuildRecord) -> None:
    idle = AttackedTeacher(attack="pgd-20", epsilon=8, images=1200, note="it is no torch module")
    found = made(attacked, idle)
    assert {attacks.teacher(found, row) for row in found.attacks} == {"not run"}
    assert attacks.sentence(found).endswith("The teacher was not attacked: it is no torch module.")


def test_no_teacher(attacked: BuildRecord) -> None:
    found = made(attacked, None)
    assert {attacks.teacher(found, row) for row in found.attacks} == {"not run"}
    assert "teacher" not in attacks.sentence(found)
