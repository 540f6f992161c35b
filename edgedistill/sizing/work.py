"""What one step of a program does, counted: the numbers that a cost model multiplies with its coefficients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Work:
    """One step: the operators that it runs, the kernel, and how often each of the kernel's parts is passed."""

    ops: tuple[str, ...]
    kernel: str
    counts: Mapping[str, float]


@lru_cache(maxsize=4096)
def windows(size: int, out: int, kernel: int, stride: int, pad: int) -> tuple[tuple[int, int], ...]:
    """Along one side: of each output's window, where its part within the input begins and ends."""
    found = []
    for i in range(out):
        start = i * stride - pad
        first = min(max(-start, 0), kernel)
        found.append((first, max(min(size - start, kernel), first)))
    return tuple(found)
