import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistill.bench.trace import Trace, TraceError, energy


def simulated(hz: float, seconds: float, idle_w: float, bursts: list[tuple[float, float, float]]) -> Trace:
    """A trace of known joules: idle, and rectangles of (start, end, watts above idle)."""
    times = [i / hz for i in range(int(seconds * hz) + 1)]
    watts = [idle_w + sum(w for a, b, w in bursts if a <= t < b) for t in times]
    return Trace(times, watts)


@settings(max_examples=20, deadline=None)
@given(
    st.floats(0.0, 5.0),
    st.lists(st.floats(0.01, 20.0), min_size=1, max_size=4),
    st.integers(1, 500),
    st.sampled_from([500.0, 1000.0]),
)
def test_known_joules_are_found_to_within_one_percent(
    idle_w: float, above_w: list[float], inferences: int, hz: float
) -> None:
    starts = [1.0 + i for i in range(len(above_w))]
    ends = [start + 0.5 for start in starts]
    trace = simulated(hz, 2 + len(above_w), idle_w, list(zip(starts, ends, above_w, strict=True)))
    found = energy(trace, (0.0, 0.9), starts, ends, inferences)
    assert found.idle_w == pytest.approx(idle_w, abs=1e-9)
    assert found.inferences == inferences * len(above_w)
    for joules, watts in zip(found.each_j, above_w, strict=True):
        assert joules * inferences == pytest.approx(0.5 * watts, rel=0.01)


@given(st.floats(0.01, 0.99), st.floats(1.01, 1.99), st.floats(-3, 3), st.floats(10, 20))
def test_a_straight_line_is_integrated_exactly_wherever_the_window_begins(
    start: float, end: float, slope: float, level: float
) -> None:
    times = [i / 50 for i in range(101)]
    trace = Trace(times, [level + slope * t for t in times])
    expected = level * (end - start) + slope * (end**2 - start**2) / 2
    assert trace.joules(start, end) == pytest.approx(expected, rel=1e-9)


def test_several_windows_have_a_spread_and_words() -> None:
    starts = [1.0 + i for i in range(6)]
    watts = [1.0, 1.1, 0.9, 1.0, 1.2, 1.0]
    ends = [s + 0.5 for s in starts]
    trace = simulated(1000, 8, 0.2, list(zip(starts, ends, watts, strict=True)))
    found = energy(trace, (0.0, 0.9), starts, ends, 10)
    assert found.summary.median == pytest.approx(0.05, rel=0.01)
    assert found.summary.low == pytest.approx(0.045, rel=0.01)
    assert found.summary.high == pytest.approx(0.06, rel=0.01)
    assert found.note.startswith("6 windows, 3,006 readings, idle 0.2 W")


def test_an_idle_trace_of_its_own_is_taken_off() -> None:
    idle = simulated(1000, 1, 0.3, [])
    trace = simulated(1000, 1, 0.3, [(0.0, 2.0, 0.7)])
    assert energy(trace, idle, [0.1], [0.9], [8]).each_j == (pytest.approx(0.07, rel=1e-9),)


@pytest.mark.parametrize(
    ("times", "watts", "words"),
    [
        ([0, 1], [1], "2 times and 1 readings"),
        ([0], [1], "no trace"),
        ([0, 2, 1], [1, 1, 1], "goes back by 1 s at reading 3"),
        ([0, 1, 1], [1, 1, 1], "stands still at reading 3"),
        ([0, 1, 2], [1, math.nan, 1], "reading 2 is no number"),
        ([0, math.inf, 2], [1, 1, 1], "reading 2 is no number"),
    ],
)
def test_what_is_no_trace_is_refused(times: list[float], watts: list[float], words: str) -> None:
    with pytest.raises(TraceError, match=words):
        Trace(times, watts)


def test_a_gap_is_refused_where_it_matters_and_nowhere_else() -> None:
    times = [i / 1000 for i in range(3001) if not 1000 < i < 1500]
    trace = Trace(times, [1.0] * len(times))
    assert trace.joules(2.0, 2.5) == pytest.approx(0.5)
    with pytest.raises(TraceError, match=r"missing for 0\.5 of 1 s"):
        trace.joules(0.8, 1.8)


@pytest.mark.parametrize(
    ("starts", "ends", "counts", "words"),
    [
        ([0.5], [2.5], 1, "covers 0 to 2 s"),
        ([1.5], [1.2], 1, "empty"),
        ([1.0, 1.1], [1.5, 1.6], 1, "before its predecessor"),
        ([1.0], [1.001], 1, "too few"),
        ([1.0], [1.5], 0, "no inference"),
        ([1.0], [1.5], [1, 1], "no windows"),
        ([1.6], [1.9], 1, "does not see the work"),
    ],
)
def test_windows_that_tell_nothing_are_refused(
    starts: list[float], ends: list[float], counts: int | list[int], words: str
) -> None:
    trace = simulated(1000, 2, 1.0, [(1.0, 1.5, 2.0)])
    with pytest.raises(TraceError, match=words):
        energy(trace, (0.0, 0.9), starts, ends, counts)
