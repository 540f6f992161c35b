"""Draws what each step of a network takes, predicted or measured, as bars from first to last."""

from __future__ import annotations

from dataclasses import dataclass

from edgedistill.record import Step, Steps
from edgedistill.report import people
from edgedistill.units import format_count

MOST = 20  # steps that are listed: of more, those that take most


@dataclass(frozen=True)
class Row:
    """One step: what it is, its amount in words, and its share 0..1 of the step that takes most.

    ``float32`` and ``float32_share`` are of the same operator in float32, where it was timed.
    """

    kernel: str
    ops: str
    amount: str
    share: float
    float32: str = ""
    float32_share: float = 0.0


def rows(steps: Steps | None) -> tuple[Row, ...]:
    """The steps in order."""
    if steps is None:
        return ()
    kept = sorted(steps.rows, key=lambda step: -step.value)[:MOST]
    top = max(max(step.value, step.float32 or 0.0) for step in kept)
    return tuple(_row(step, steps.unit, top) for step in steps.rows if step in kept)


def sentence(steps: Steps | None) -> str:
    """What the bars are, where they come from, and which step takes most."""
    if steps is None:
        return ""
    total = sum(step.value for step in steps.rows)
    most = max(steps.rows, key=lambda step: step.value)
    where = f"{steps.runtime} on {steps.device}"
    unit = "" if steps.unit == "ms" else f" {steps.unit}"
    amount = f"{_amount(total, steps.unit)}{unit}"
    head = (
        f"Predicted for {where}: {amount} together."
        if steps.how == "modelled"
        else f"Each operator timed alone, with the cost of a call: {where}, {amount} together."
    )
    share = most.value / total if total else 0.0
    left = f" The {MOST} that take most of {len(steps.rows)} steps." if len(steps.rows) > MOST else ""
    return f"{head} {most.kernel} {_names(most)} takes most, {people.percent(share, 0)}.{left}"


def _row(step: Step, unit: str, top: float) -> Row:
    twin = step.float32
    return Row(
        kernel=step.kernel,
        ops=_names(step),
        amount=_amount(step.value, unit),
        share=step.value / top if top else 0.0,
        float32="" if twin is None else _amount(twin, unit),
        float32_share=0.0 if twin is None or not top else twin / top,
    )


def _names(step: Step) -> str:
    return ", ".join(step.ops) or "around all steps"


def _amount(value: float, unit: str) -> str:
    return people.milliseconds(value) if unit == "ms" else format_count(value)
