"""What one step of a program does, counted: the numbers that a cost model multiplies by coefficients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

ALONE = " alone"  # ends the name of a kernel that a network calls once, which is compiled otherwise
INFERENCE = "inference"  # the kernel of what an inference takes besides its steps


@dataclass(frozen=True)
class Work:
    """One step: the operators that it runs, the kernel, and how often each part of the kernel is passed."""

    ops: tuple[str, ...]
    kernel: str
    counts: Mapping[str, float]

    @property
    def sibling(self) -> str:
        """The kernel's name if it were called often, or once."""
        return self.kernel.removesuffix(ALONE) if self.kernel.endswith(ALONE) else self.kernel + ALONE


def inference() -> Work:
    """What an inference takes before, between and after its steps."""
    return Work((), INFERENCE, {"calls": 1})


@lru_cache(maxsize=4096)
def windows(size: int, out: int, kernel: int, stride: int, pad: int) -> tuple[tuple[int, int], ...]:
    """Along one side: of each output's window, where its part within the input begins and ends."""
    found = []
    for i in range(out):
        start = i * stride - pad
        first = min(max(-start, 0), kernel)
        found.append((first, max(min(size - start, kernel), first)))
    return tuple(found)
