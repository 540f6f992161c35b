"""A student that learns along while images are made, so that the next ones show what it does not know yet.

Source: the competition of Adaptive DeepInversion (Yin et al. 2020, section 3.3). It is thrown away
at the end: the student that is delivered learns from all images on a whole schedule.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgedistill.distill.evaluate import from_pixels, to_input
from edgedistill.distill.losses import soft_targets
from edgedistill.synthesis.bank import Bank

_RATE = 0.05
_DECAY = 5e-4
_BATCH = 256


class Rival:
    """The network with its optimiser."""

    def __init__(self, net: nn.Module, temperature: float) -> None:
        self.net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.temperature = temperature
        self.optimiser = torch.optim.SGD(
            self.net.parameters(), _RATE, momentum=0.9, nesterov=True, weight_decay=_DECAY
        )

    def logits(self, pixels_NCHW: Tensor) -> Tensor:
        """Of images 0..1, in evaluation mode, differentiable with respect to the images."""
        self.net.eval()
        return self.net(from_pixels(pixels_NCHW))  # type: ignore[no-any-return]

    def learn(self, bank: Bank, rows: int, steps: int, rng: np.random.Generator) -> None:
        """Some steps on the bank's first ``rows`` images."""
        self.net.train()
        for _ in range(steps):
            images, answers = bank.sample(rows, min(_BATCH, rows), rng)
            loss = soft_targets(self.net(to_input(images)), torch.from_numpy(answers), self.temperature)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
            self.optimiser.step()

    def state(self) -> Mapping[str, Any]:
        """For a checkpoint."""
        return {"net": self.net.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up ``state`` again."""
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
