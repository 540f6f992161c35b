"""Turns a recorded power trace into joules per inference, idle taken off, and refuses one that tells none."""

from __future__ import annotations

import bisect
import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgedistill.bench import statistics

GAP = 20  # times the median interval between readings, past which readings are missing
SPREADS = 3  # median absolute deviations of idle, that a load is to stand out by
SHARE_MISSING = 0.01  # of a window; more time in gaps cannot be within the 1 % that is promised


class TraceError(ValueError):
    """A trace from which no energy may be told; its text is the reason."""


@dataclass(frozen=True)
class Trace:
    """Readings of a power meter: ``times_s`` on one clock, rising; ``watts`` at each.

    Raises:
        TraceError: lengths differ, fewer than two readings, a value that is not finite, a clock that stands
            still or goes backwards.
    """

    times_s: Sequence[float]
    watts: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.times_s) != len(self.watts):
            raise TraceError(f"{len(self.times_s)} times and {len(self.watts)} readings do not match")
        if len(self.times_s) < 2:
            raise TraceError(f"{len(self.times_s)} readings are no trace")
        for i, (at, power) in enumerate(zip(self.times_s, self.watts, strict=True)):
            if not (math.isfinite(at) and math.isfinite(power)):
                raise TraceError(f"reading {i + 1:,} is no number (a sensor is missing or was cut off)")
        for i, (one, next_) in enumerate(itertools.pairwise(self.times_s)):
            if next_ <= one:
                does = "stands still" if next_ == one else f"goes back by {one - next_:.6g} s"
                raise TraceError(f"the clock {does} at reading {i + 2:,}")

    @functools.cached_property
    def period_s(self) -> float:
        """The median interval between two readings."""
        return statistics.median([b - a for a, b in itertools.pairwise(self.times_s)])

    def gaps(self, start_s: float, end_s: float) -> list[tuple[float, float]]:
        """Where readings are missing between two times, each as (from, to)."""
        longest = GAP * self.period_s
        return [
            (max(a, start_s), min(b, end_s))
            for a, b in itertools.pairwise(self.times_s)
            if b - a > longest and b > start_s and a < end_s
        ]

    def joules(self, start_s: float, end_s: float) -> float:
        """The trapezoidal rule between two times, the readings at both ends interpolated linearly.

        Raises:
            TraceError: the trace does not cover the window, or more than 1 % of it lies in gaps.
        """
        assert start_s < end_s
        if start_s < self.times_s[0] or end_s > self.times_s[-1]:
            raise TraceError(
                f"the trace covers {self.times_s[0]:.6g} to {self.times_s[-1]:.6g} s, "
                f"the window is {start_s:.6g} to {end_s:.6g} s"
            )
        missing = sum(b - a for a, b in self.gaps(start_s, end_s))
        if missing > SHARE_MISSING * (end_s - start_s):
            raise TraceError(
                f"readings are missing for {missing:.4g} of {end_s - start_s:.4g} s "
                f"(one every {self.period_s:.4g} s is usual)"
            )
        first, last = bisect.bisect_right(self.times_s, start_s), bisect.bisect_left(self.times_s, end_s)
        times = [start_s, *self.times_s[first:last], end_s]
        watts = [self._at(start_s), *self.watts[first:last], self._at(end_s)]
        return math.fsum(
            (times[i + 1] - times[i]) * (watts[i] + watts[i + 1]) / 2 for i in range(len(times) - 1)
        )

    def _at(self, time_s: float) -> float:
        after = min(max(bisect.bisect_left(self.times_s, time_s), 1), len(self.times_s) - 1)
        a, b = self.times_s[after - 1], self.times_s[after]
        share = (time_s - a) / (b - a)
        return self.watts[after - 1] + share * (self.watts[after] - self.watts[after - 1])


@dataclass(frozen=True)
class Energy:
    """Joules per inference above idle, by window; idle in watts with the spread of its readings."""

    each_j: tuple[float, ...]  # one per window
    least_w: float  # above idle, of the window that takes least
    inferences: int  # in all windows
    idle_w: float
    idle_mad_w: float
    readings: int  # that fell into the windows

    @property
    def faint(self) -> str:
        """Why the load is not told from the spread of idle; empty: it is."""
        if self.least_w > SPREADS * self.idle_mad_w:
            return ""
        return (
            f"the load's {self.least_w:.3g} W do not stand out from the idle device's "
            f"{self.idle_w:.4g} W (MAD {self.idle_mad_w:.2g} W)"
        )

    @property
    def summary(self) -> statistics.Summary:
        """Of the windows, in joules per inference."""
        return statistics.summary(self.each_j)

    @property
    def note(self) -> str:
        """For a measurement: what was taken off, and how many readings there were."""
        plural = "s" if len(self.each_j) != 1 else ""
        return (
            f"{len(self.each_j)} window{plural}, {self.readings:,} readings, idle {self.idle_w:.4g} W "
            f"(MAD {self.idle_mad_w:.2g} W) taken off"
        )


def energy(
    trace: Trace,
    idle: Trace | tuple[float, float],
    starts: Sequence[float],
    ends: Sequence[float],
    inferences: int | Sequence[int],
) -> Energy:
    """Joules per inference in windows of a trace, above the idle power.

    Args:
        trace: of the whole measurement.
        idle: a trace that was taken before, or the window of ``trace`` (from, to, in s) in which nothing ran.
        starts: of each window, in s on the trace's clock.
        ends: of each window.
        inferences: in each window; one number: in every one.

    Raises:
        TraceError: as ``Trace.joules``; windows that are empty, or overlap; fewer than three readings in a
            window, or in idle; a window that takes no more than idle.
    """
    counts = [inferences] * len(starts) if isinstance(inferences, int) else list(inferences)
    if not starts or not len(starts) == len(ends) == len(counts):
        raise TraceError(f"{len(starts)} starts, {len(ends)} ends and {len(counts)} counts are no windows")
    if min(counts) < 1:
        raise TraceError("a window holds no inference")
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        if end <= start or (i and start < ends[i - 1]):
            raise TraceError(
                f"window {i + 1} ({start:.6g} to {end:.6g} s) is empty, or before its predecessor"
            )
    span = idle if isinstance(idle, tuple) else (idle.times_s[0], idle.times_s[-1])
    source = trace if isinstance(idle, tuple) else idle
    if span[1] <= span[0]:
        raise TraceError(f"the idle window ({span[0]:.6g} to {span[1]:.6g} s) is empty")
    resting = _inside(source, *span)
    idle_w = source.joules(*span) / (span[1] - span[0])
    each, more, readings = [], [], 0
    for start, end, count in zip(starts, ends, counts, strict=True):
        readings += len(_inside(trace, start, end))
        above = trace.joules(start, end) - idle_w * (end - start)
        if above <= 0:
            raise TraceError(
                f"{start:.6g} to {end:.6g} s takes {idle_w + above / (end - start):.4g} W, "
                f"no more than idle ({idle_w:.4g} W): the meter does not see the work"
            )
        each.append(above / count)
        more.append(above / (end - start))
    return Energy(tuple(each), min(more), sum(counts), idle_w, statistics.mad(resting), readings)


def _inside(trace: Trace, start_s: float, end_s: float) -> Sequence[float]:
    """The readings in a window, three or more."""
    first, last = bisect.bisect_left(trace.times_s, start_s), bisect.bisect_right(trace.times_s, end_s)
    if last - first < 3:
        raise TraceError(
            f"{max(0, last - first)} readings between {start_s:.6g} and {end_s:.6g} s are too few: "
            "use a longer window or a faster meter"
        )
    return trace.watts[first:last]
