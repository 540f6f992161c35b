"""What is said of flash: nothing without C, the plan, and the linked bytes beside it."""

from __future__ import annotations

from edgedistill.record import BuildRecord, PlannedFlash
from edgedistill.report import flash

PLAN = PlannedFlash(
    code_bytes=4_000, weight_bytes=80_000, table_bytes=1_000, device="A board", compiler="gcc 12"
)


def with_plan(record: BuildRecord) -> BuildRecord:
    return record.model_copy(update={"graph": record.graph.model_copy(update={"flash": PLAN})})


def test_nothing_without_c(record: BuildRecord, firmware: BuildRecord) -> None:
    assert [*flash.sentences(record), *flash.sentences(firmware)] == []


def test_the_plan_alone(record: BuildRecord) -> None:
    (said,) = flash.sentences(with_plan(record))
    assert said == (
        "planned 85,000 bytes on A board: code 4,000, weights 80,000, tables 1,000 (modelled, gcc 12)"
    )


def test_linked_bytes_beside_it(firmware: BuildRecord) -> None:
    _, said = flash.sentences(with_plan(firmware))
    assert said == "linked 88,123 bytes, planned 85,000 (+3.67%)"


def test_fewer_bytes_than_planned() -> None:
    assert PLAN.beside(84_150) == "planned 85,000 (-1.00%)"
