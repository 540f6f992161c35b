"""What each step takes: bars in order, of many only those that take most."""

from __future__ import annotations

from edgedistill.record import BuildRecord, Step, Steps
from edgedistill.report import steps
from edgedistill.report.html import render


def _steps(*values: float, float32: float | None = None) -> Steps:
    rows = tuple(
        Step(ops=(f"op{i}",), kernel="conv", value=value, float32=float32) for i, value in enumerate(values)
    )
    unit = "instructions" if float32 is None else "ms"
    how = "modelled" if float32 is None else "measured"
    return Steps(rows=rows, unit=unit, how=how, runtime="c", device="A board")


def test_predicted_steps(record: BuildRecord) -> None:
    made = _steps(1e6, 3e6, 0.0)
    first, second, _ = steps.rows(made)
    assert (first.amount, second.amount, second.share) == ("1.00 M", "3.00 M", 1.0) and first.share == 1 / 3
    words = steps.sentence(made)
    assert words == "Predicted for c on A board: 4.00 M instructions together. conv op1 takes most, 75 %."
    page = render(record.model_copy(update={"steps": made}))
    assert words in page and "Step by step" in page and 'class="meter twin"' not in page
    assert "Step by step" not in render(record)


def test_timed_steps_have_float32_beside_them(record: BuildRecord) -> None:
    made = _steps(0.25, 0.5, float32=1.0)
    assert [row.float32_share for row in steps.rows(made)] == [1.0, 1.0]
    assert "Each operator timed alone" in steps.sentence(made)
    assert 'class="meter twin"' in render(record.model_copy(update={"steps": made}))


def test_of_many_steps_those_that_take_most_in_order() -> None:
    made = _steps(*(float(i % 7 * 100 + i) for i in range(50)))
    rows = steps.rows(made)
    assert len(rows) == steps.MOST
    names = [int(row.ops.removeprefix("op")) for row in rows]
    assert names == sorted(names) and 48 in names and 0 not in names  # 48 % 7 is 6, the most
    assert "The 20 that take most of 50 steps." in steps.sentence(made)


def test_nothing_is_known() -> None:
    assert steps.rows(None) == () and steps.sentence(None) == ""
