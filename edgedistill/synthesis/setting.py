"""What every method of synthesis works with: the teacher, its statistics, the weights, and the rival."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from edgedistill.synthesis.statistics import Statistics

Logits = Callable[[Tensor], Tensor]  # pixels [N,C,H,W] 0..1 -> logits [N,K], differentiable


@dataclass(frozen=True)
class Weights:
    """The numbers of a method, its defaults filled in; ``rival`` 0 means that there is none."""

    steps: int
    lr: float
    statistics: float
    prior: float
    smoothness: float
    rival: float
    contrast: float


@dataclass(frozen=True, eq=False)
class Setting:
    """``teacher`` fills ``statistics`` at each call; ``mirror``: a mirrored image keeps its class."""

    teacher: Logits
    statistics: Statistics
    weights: Weights
    mirror: bool
    shape_HWC: tuple[int, int, int]
    width: int


class Method(Protocol):
    """Makes one batch of images after the other."""

    def batch(self, targets: Tensor, rival: Logits | None) -> tuple[Tensor, float]:
        """Images [N,C,H,W] 0..1 that show ``targets``, and their loss. Draws from torch's generator."""
        ...

    def state(self) -> Mapping[str, Any]:
        """What a checkpoint must hold, so that the next batch is the same after a restart."""
        ...

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up ``state`` again."""
        ...
