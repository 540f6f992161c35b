import ast
import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistill.bench import statistics

FINITE = st.floats(-1e6, 1e6)


def test_only_the_standard_library_is_imported_and_nothing_named_like_the_file() -> None:
    """A board gets the file alone, where a module of this name would be itself."""
    tree = ast.parse(Path(statistics.__file__).read_text(encoding="utf-8"))
    names = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    names |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names - {"statistics", "random"}


@pytest.mark.parametrize(  # samples, and the rank of the lower end at 95 %
    ("count", "rank"), [(6, 1), (8, 1), (9, 2), (10, 2), (20, 6), (25, 8), (50, 18), (100, 40)]
)
def test_the_interval_is_that_of_the_sign_test(count: int, rank: int) -> None:
    assert statistics.median_interval([*range(1, count + 1)]) == (rank, count + 1 - rank)


def test_five_samples_say_nothing_at_95_percent() -> None:
    assert statistics.median_interval([1.0] * 5) == (-math.inf, math.inf)
    assert statistics.summary([1.0] * 5).low is None


def test_many_samples_do_not_overflow_and_come_near_the_normal_approximation() -> None:
    count = 5000
    low, high = statistics.median_interval(range(1, count + 1))
    assert low == pytest.approx(count / 2 - 1.96 * math.sqrt(count) / 2, abs=2)
    assert high == count + 1 - low


def test_the_interval_covers_the_median_as_often_as_it_says() -> None:
    draw = random.Random(1)
    hits = 0
    for _ in range(400):
        low, high = statistics.median_interval([draw.expovariate(1.0) for _ in range(31)])
        hits += low <= math.log(2) <= high
    assert 0.93 <= hits / 400 <= 0.99  # 0.971 by the binomial distribution


def test_a_series_that_drifts_is_less_sure_than_the_same_values_shuffled() -> None:
    drifting = [1 + i / 1000 for i in range(1000)]
    shuffled = random.Random(0).sample(drifting, len(drifting))
    wide = statistics.interval(drifting)
    narrow = statistics.interval(shuffled)
    assert wide[1] - wide[0] > 4 * (narrow[1] - narrow[0])


@given(st.lists(FINITE, min_size=1, max_size=60), st.floats(0, 1))
def test_percentiles_are_numpys(samples: list[float], share: float) -> None:
    expected = np.percentile(samples, 100 * share)
    assert statistics.percentile(samples, share) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(st.lists(FINITE, min_size=6, max_size=80))
def test_the_median_lies_in_its_interval_and_outliers_do_not_move_it_far(samples: list[float]) -> None:
    found = statistics.summary(samples)
    assert found.low is not None and found.high is not None
    assert found.minimum <= found.low <= found.median <= found.high <= found.maximum
    moved = statistics.summary([*samples, 1e12])
    ordered = sorted(samples)
    assert moved.median <= ordered[len(ordered) // 2 + 1]


def test_the_spread_ignores_a_few_outliers() -> None:
    assert statistics.mad([1, 2, 3, 4, 5, 1e9]) == 1.5


def test_enough_is_two_percent_of_the_median_to_either_side() -> None:
    assert statistics.enough([100.0] * 3 + [98.0, 102.0, 100.0])
    assert not statistics.enough([100.0] * 3 + [98.0, 102.1, 100.0])
    assert not statistics.enough([100.0] * 5)


class _Clock:
    """A clock that only moves when samples are taken."""

    def __init__(self, each_s: float, values: Sequence[float]) -> None:
        self.now, self.each_s, self.values, self.asked = 0.0, each_s, list(values), 0

    def once(self, count: int) -> list[float]:
        self.now += count * self.each_s
        taken = [self.values[(self.asked + i) % len(self.values)] for i in range(count)]
        self.asked += count
        return taken


def test_a_steady_series_ends_at_the_least() -> None:
    steady = _Clock(0.001, [5.0, 5.01])
    assert len(statistics.repeat(steady.once, 50, 1000, 60, clock=lambda: steady.now)) == 50


def test_a_noisy_series_ends_at_the_most() -> None:
    noisy = _Clock(0.001, [1.0, 9.0])
    assert len(statistics.repeat(noisy.once, 50, 1000, 60, clock=lambda: noisy.now)) == 1000


@settings(max_examples=40)
@given(st.integers(1, 60), st.integers(0, 200), st.floats(0.1, 20))
def test_time_ends_a_slow_series_and_six_are_taken_all_the_same(least: int, more: int, each_s: float) -> None:
    slow = _Clock(each_s, [1.0, 9.0])
    most = least + more
    taken = len(statistics.repeat(slow.once, least, most, 10, clock=lambda: slow.now))
    assert min(6, most) <= taken <= most
    assert taken == most or slow.now >= 10
    assert slow.now <= max(10, 6 * each_s) + max(1, least // 5) * each_s + 1e-6
