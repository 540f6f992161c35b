"""Says how sure a median is and when to stop measuring: the standard library alone, so boards can run it.

Times of inferences have a hard lower end and a long tail of interruptions, so everything here stands on
order statistics: no mean, no standard deviation, no assumed distribution.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
SHARE = 0.02  # of the median: half an interval that is narrow enough
FEWEST = 6  # samples that a 95 % interval of a median needs: 1 - 2 * 0.5**6 = 0.969
BATCHES = 20  # consecutive ones, whose medians tell drift; 10 to 30 are usual (Schmeiser 1982)


@dataclass(frozen=True)
class Summary:
    """Of a sample, in its unit. ``low`` and ``high`` are ``interval``'s; None: too few samples."""

    count: int
    median: float
    low: float | None
    high: float | None
    p90: float
    p99: float
    minimum: float
    maximum: float
    mad: float  # median absolute deviation from the median

    @property
    def half_width(self) -> float | None:
        """Half the interval as a share of the median; None: no interval, or a median of 0."""
        if self.low is None or self.high is None or self.median == 0:
            return None
        return (self.high - self.low) / 2 / abs(self.median)


def percentile(samples: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0..1) of the samples lie, interpolated linearly.

    It is definition 7 of Hyndman and Fan, "Sample quantiles in statistical packages" (1996), NumPy's default.
    """
    assert len(samples) > 0 and 0 <= share <= 1
    ordered = sorted(samples)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def median(samples: Sequence[float]) -> float:
    """The middle one, or the mean of the middle two."""
    return percentile(samples, 0.5)


def median_interval(samples: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Where the median of the distribution lies that independent samples were drawn from.

    The k-th smallest and the k-th largest sample, k as large as the binomial distribution (n, 1/2) allows
    for the coverage ``1 - 2 P(B < k)`` to be at least ``confidence``: the interval that belongs to the sign
    test (Conover, Practical Nonparametric Statistics, 3rd edition, section 3.2).

    Returns:
        Low and high; minus and plus infinity where no two samples reach the confidence (at 95 %: fewer
        than six).
    """
    assert len(samples) > 0 and 0 < confidence < 1
    k = _rank(len(samples), confidence)
    if k == 0:
        return -math.inf, math.inf
    ordered = sorted(samples)
    return ordered[k - 1], ordered[-k]


def interval(samples: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """``median_interval`` of samples in the order in which they were taken, drift and all.

    Successive times are not independent: a clock or a neighbour changes, and all that follow change with
    it. The medians of consecutive batches wander by as much; the wider one of the two intervals counts.
    """
    low, high = median_interval(samples, confidence)
    if len(samples) < 2 * BATCHES:
        return low, high
    cuts = [i * len(samples) // BATCHES for i in range(BATCHES + 1)]
    medians = [median(samples[cuts[i] : cuts[i + 1]]) for i in range(BATCHES)]
    wander_low, wander_high = median_interval(medians, confidence)
    return min(low, wander_low), max(high, wander_high)


def enough(samples: Sequence[float], share: float = SHARE) -> bool:
    """Whether half of the median's ``interval`` is at most ``share`` of the median."""
    if len(samples) < FEWEST:
        return False
    low, high = interval(samples)
    return (high - low) / 2 <= share * abs(median(samples))


def mad(samples: Sequence[float]) -> float:
    """The median absolute deviation from the median: half of the samples are no further from it."""
    middle = median(samples)
    return median([abs(sample - middle) for sample in samples])


def summary(samples: Sequence[float]) -> Summary:
    """The median with its interval, the slow end, and the spread."""
    low, high = interval(samples)
    known = math.isfinite(low) and math.isfinite(high)
    return Summary(
        count=len(samples),
        median=median(samples),
        low=low if known else None,
        high=high if known else None,
        p90=percentile(samples, 0.9),
        p99=percentile(samples, 0.99),
        minimum=min(samples),
        maximum=max(samples),
        mad=mad(samples),
    )


def repeat(
    once: Callable[[int], Sequence[float]],
    least: int,
    most: int,
    seconds: float,
    share: float = SHARE,
    clock: Callable[[], float] = time.monotonic,
) -> list[float]:
    """Measures until the median is known well ``enough``, or a cap is met.

    Args:
        once: takes so many samples and gives them in their order.
        least: samples in any case, unless time is up; six even then.
        most: samples at most.
        seconds: after which no further samples are asked for.
        share: of the median, that half of its interval may be.
        clock: in seconds.

    Returns:
        All samples in their order. Looking at the interval after every share makes its confidence a little
        smaller than said; ``least`` keeps that small.
    """
    assert 1 <= least <= most
    started = clock()
    samples: list[float] = []
    portion = max(1, least // 5)  # the clock is looked at in between
    while True:
        samples += once(min(portion, most - len(samples)))
        late = clock() - started >= seconds and len(samples) >= min(FEWEST, most)
        if late or len(samples) >= most or (len(samples) >= least and enough(samples, share)):
            return samples


def _rank(count: int, confidence: float) -> int:
    """The largest k for which ``2 P(B < k) <= 1 - confidence``, B binomial (count, 1/2); 0: there is none."""
    allowed = (1 - confidence) / 2 * 2.0 ** min(count, 1000)
    scale = 1 << max(0, count - 1000)  # beyond 2**1000 a float ends
    ways, below, k = 1, 0, 0
    while 2 * k < count and (below + ways) / scale <= allowed:
        below += ways
        ways = ways * (count - k) // (k + 1)
        k += 1
    return k
