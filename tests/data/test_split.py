"""Splitting: disjoint, complete, stratified, whatever the labels and copies."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.data.split import hold_out, shared, thin_out

examples = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=1, max_size=80)


@given(examples, st.floats(0.01, 0.49), st.integers(0, 5))
def test_hold_out_is_a_partition_that_parts_no_copies(
    pairs: list[tuple[int, int]], share: float, seed: int
) -> None:
    labels = np.array([label for label, _ in pairs], dtype=np.int64)
    digests = [bytes([content]) for _, content in pairs]
    kept, held = hold_out(labels, digests, share, np.random.default_rng(seed))
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(len(pairs)))
    assert not {digests[i] for i in kept} & {digests[i] for i in held}


@given(st.integers(2, 40), st.floats(0.05, 0.45))
def test_hold_out_takes_the_share_of_each_class(count: int, share: float) -> None:
    labels = np.repeat(np.arange(3), count)
    _, held = hold_out(labels, [bytes([i]) for i in range(len(labels))], share, np.random.default_rng(0))
    expected = min(count - 1, max(1, round(share * count)))
    assert np.bincount(labels[held]).tolist() == [expected] * 3


@given(st.lists(st.integers(0, 4), min_size=30, max_size=200), st.integers(10, 60))
def test_thin_out_meets_the_limit_exactly_and_keeps_every_class(numbers: list[int], limit: int) -> None:
    labels = np.array(numbers, dtype=np.int64)
    kept = thin_out(labels, limit, np.random.default_rng(0))
    assert len(kept) == min(limit, len(labels)) == len(set(kept.tolist()))
    assert set(labels[kept].tolist()) == set(numbers)
    assert (np.diff(kept) > 0).all()


def test_thin_out_does_not_ask_a_class_for_more_than_it_has() -> None:
    labels = np.array([0] * 29 + [1], dtype=np.int64)
    kept = thin_out(labels, 20, np.random.default_rng(0))
    assert np.bincount(labels[kept]).tolist() == [19, 1]


def test_shared_marks_common_images() -> None:
    assert shared([b"a", b"b", b"c"], [b"c", b"a"]).tolist() == [True, False, True]
