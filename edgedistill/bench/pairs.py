"""Compares two things that were measured in turns, pair by pair, so that what both suffered cancels out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgedistill.bench import statistics
from edgedistill.record import How, Measurement

Turns = Sequence[NDArray[np.float64]]  # the times of each turn, in ms
UNIT = "×"


def ratios(one: Turns, other: Turns) -> list[float]:
    """By turn, the median of ``one`` over that of ``other``; both took the turn one after the other."""
    assert len(one) == len(other)
    return [float(np.median(a) / np.median(b)) for a, b in zip(one, other, strict=True)]


def ratio(
    one: Turns,
    other: Turns,
    *,
    artifact: str,
    against: str,
    runtime: str,
    device: str,
    threads: int,
    how: How = "measured",
    isolation: str = "",
) -> Measurement:
    """The median of the turns' ratios of latency, with its 95 % interval.

    Args:
        one: times of each turn.
        other: times of each turn, taken just before or just after.
        artifact: that ``one`` belongs to.
        against: what ``other`` belongs to.
        runtime: of both.
        device: of both.
        threads: of both.
        how: both were found.
        isolation: as in ``Measurement``.
    """
    found = statistics.summary(ratios(one, other))
    return Measurement(
        quantity="latency_ratio",
        value=found.median,
        unit=UNIT,
        how=how,
        artifact=artifact,
        runtime=runtime,
        device=device,
        count=found.count,
        threads=threads,
        low=found.low,
        high=found.high,
        isolation=isolation,
        note=f"latency against {against}, median over {found.count} pairs of turns; {verdict(found)}",
    )


def verdict(found: statistics.Summary) -> str:
    """In words, what a ratio and its interval say."""
    if found.low is None or found.high is None:
        return "too few pairs for an interval"
    if found.high < 1:
        return "faster"
    return "slower" if found.low > 1 else "no difference is told"
