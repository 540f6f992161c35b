"""Divides examples into train, validation and test so that no two splits share an image."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def hold_out(
    labels: NDArray[np.int64], digests: Sequence[bytes], share: float, rng: np.random.Generator
) -> tuple[Indices, Indices]:
    """Splits 0..N-1 into (kept, held out), class by class; copies of an image stay on one side.

    Args:
        labels: class numbers [N].
        digests: one hash per image [N]; equal hashes mean equal images.
        share: of each class's different images that are held out; at least one, and at least one is kept.
    """
    first: dict[bytes, int] = {}
    leader = np.array([first.setdefault(d, i) for i, d in enumerate(digests)], dtype=np.int64)  # [N]
    held = np.zeros(len(labels), dtype=bool)
    for number in np.unique(labels):
        members = np.flatnonzero((labels == number) & (leader == np.arange(len(labels))))
        if len(members) < 2:
            continue
        count = min(len(members) - 1, max(1, round(share * len(members))))
        held[rng.permutation(members)[:count]] = True
    held = held[leader]
    return np.flatnonzero(~held), np.flatnonzero(held)


def hold_out_groups(groups: Sequence[str], share: float, part: str) -> tuple[Indices, Indices]:
    """Splits 0..N-1 into (kept, held out) by a hash of each one's group: a group is never on both sides.

    A group's side depends on its name and the part's alone, so it stays when clips are added
    (Warden 2018, section 7.1). At least one group is held out, and at least one is kept.
    """
    place = {g: int.from_bytes(hashlib.sha256(f"{part}/{g}".encode()).digest()[:8], "big") for g in groups}
    order = sorted(place, key=place.__getitem__)
    count = sum(place[g] < share * 2**64 for g in order)
    chosen = set(order[: min(max(count, 1), max(len(order) - 1, 0))])
    held = np.array([g in chosen for g in groups], dtype=bool)
    return np.flatnonzero(~held), np.flatnonzero(held)


def thin_out(labels: NDArray[np.int64], limit: int, rng: np.random.Generator) -> Indices:
    """At most ``limit`` of 0..N-1 with the classes' shares kept (largest remainders), in rising order."""
    if len(labels) <= limit:
        return np.arange(len(labels), dtype=np.int64)
    numbers, counts = np.unique(labels, return_counts=True)
    exact = counts * (limit / len(labels))
    quota = np.maximum(np.floor(exact).astype(np.int64), np.minimum(2, counts))
    while quota.sum() < limit:  # the class furthest below its exact share, of those with images left
        quota[np.argmax(np.where(quota < counts, exact - quota, -np.inf))] += 1
    while quota.sum() > limit:  # the minimum of two has pushed the sum over: the largest classes give back
        quota[np.argmax(quota)] -= 1
    picked = [rng.permutation(np.flatnonzero(labels == n))[:q] for n, q in zip(numbers, quota, strict=True)]
    return np.sort(np.concatenate(picked))


def shared(digests: Sequence[bytes], others: Sequence[bytes]) -> NDArray[np.bool_]:
    """True where an image of the first list is also in the second."""
    known = set(others)
    return np.array([d in known for d in digests], dtype=bool)
