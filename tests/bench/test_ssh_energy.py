"""Energy beyond the idle board, on made-up traces: what is right, and what no meter would say."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistill.bench import ssh_energy
from edgedistill.bench.on_board.program import MARK
from edgedistill.bench.ssh_job import Report

TIMES = [i / 10 for i in range(100)]


def report(
    idle: Sequence[float], load: Sequence[float], *, name: str | None = "a meter", problem: str = ""
) -> Report:
    """Two windows of 4 s, with 1,000 inferences each."""
    made = Report("ssh:a test")
    for line in (
        {"kind": "meter", "name": name, "sees": "all", "reasons": ["no INA", "no RAPL"]},
        {"kind": "idle", "times_s": TIMES[: len(idle)], "watts": list(idle), "problem": problem},
        {"kind": "load", "model": 0, "windows": [[0.95, 4.95, 1_000], [4.95, 8.95, 1_000]]},
        {"kind": "trace", "model": 0, "times_s": TIMES[: len(load)], "watts": list(load), "problem": ""},
    ):
        made.add(f"{MARK} {json.dumps(line)}")
    return made


def test_of_two_windows() -> None:
    load = [5.0 if t < 4.95 else 6.0 for t in TIMES]
    found = ssh_energy.per_inference(report([2.0, 2.5] * 20, load), 0)
    # (5 - 2.25) W and (6 - 2.25) W, times 4 s, over 1,000
    assert found.value == pytest.approx((11.0 + 15.0) / 2, rel=0.01)
    assert found.count == 2_000 and found.low is None  # two windows give no interval
    assert "11 to 15 mJ" in found.note and "idle 2.25 W (MAD 0.25 W) taken off (n=40)" in found.note


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 20), st.floats(0.01, 20))
def test_the_idle_power_does_not_count(base: float, more: float) -> None:
    found = ssh_energy.per_inference(report([base] * 30, [base + more] * 100), 0)
    assert found.value == pytest.approx(4 * more, rel=1e-6)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (report([], [], name=None), "no INA; no RAPL"),
        (report([], [], problem="ina219 cannot be read: gone"), "cannot be read: gone"),
        (report([2.0] * 5, [3.0] * 100), "was read 5 times while the board idled"),
        (report([2.0] * 30, [2.0] * 100), "is stuck: it read 2.000 W 130 times"),
        (report([0.0] * 30, [0.0] * 100), "nothing flows through it"),
        (report([-1.0] * 30, [-2.0] * 100), "the wrong way round"),
        (report([3.0, 2.9] * 15, [3.0] * 100), "0.05 W do not stand out from the idle board's 2.95 W"),
        (report([3.0, 2.9] * 15, [2.9] * 100), "the meter does not see the work"),
        (report([2.0] * 30, [3.0] * 15), "a meter: the trace covers 0 to 1.4 s"),
    ],
)
def test_what_is_refused(made: Report, words: str) -> None:
    found = ssh_energy.per_inference(made, 0)
    assert found.value is None and found.count == 0
    assert words in found.note
