"""Keeps new images unlike earlier ones: a head that tells images apart, and a bank of what it saw (CMI).

Source: Fang et al. 2021, "Contrastive Model Inversion for Data-Free Knowledge Distillation",
sections 3.2 and 3.3. An image's features are the channel means of what enters the teacher's
BatchNorm layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgedistill.synthesis import priors
from edgedistill.synthesis.jitter import jitter
from edgedistill.synthesis.setting import Setting

_BANK = 4096  # negatives (Fang et al. 2021, section 4.1)
_WIDTH = 128  # of the head's answer
_TEMPERATURE = 0.1
_RATE = 1e-3


class Contrast:
    """The head with its optimiser, and the features [M,D] of the latest images, two views each."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.inputs: dict[int, Tensor] = {}
        for number, layer in enumerate(setting.statistics.layers):
            layer.register_forward_pre_hook(self._keep(number))
        with torch.no_grad():
            height, width, channels = setting.shape_HWC
            setting.teacher(torch.zeros(2, channels, height, width))
            dimension = self._taken().shape[1]
        self.head = nn.Sequential(nn.Linear(dimension, dimension), nn.ReLU(), nn.Linear(dimension, _WIDTH))
        self.optimiser = torch.optim.Adam(self.head.parameters(), _RATE)
        self.bank = torch.zeros(0, dimension)
        self.latest = self.bank

    def loss(self, images: Tensor) -> Tensor:
        """InfoNCE of two views against each other and the bank.

        The teacher has just seen the first view; it sees the second here, also in ``statistics``.
        """
        first = self._taken()
        self.setting.teacher(jitter(images, mirror=self.setting.mirror))
        second = self._taken()
        self.latest = first.detach()
        one, two, others = (F.normalize(self.head(x), dim=1) for x in (first, second.detach(), self.bank))
        return priors.contrast(one, two, others, _TEMPERATURE)

    def step(self) -> None:
        """Trains the head with the gradients that the images' loss has left in it."""
        self.optimiser.step()
        self.optimiser.zero_grad()

    def remember(self) -> None:
        """The latest images become negatives of the next."""
        self.bank = torch.cat([self.latest, self.bank])[:_BANK]

    def state(self) -> Mapping[str, Any]:
        """For a checkpoint."""
        return {
            "head": self.head.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "bank": self.bank.clone(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up ``state`` again."""
        self.head.load_state_dict(state["head"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.bank = state["bank"]

    def _keep(self, number: int) -> Any:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self.inputs[number] = inputs[0]

        return hook

    def _taken(self) -> Tensor:
        """The features [N,D] of the teacher's last pass."""
        features = torch.cat([self.inputs[n].mean(dim=(2, 3)) for n in sorted(self.inputs)], dim=1)
        self.inputs.clear()
        return features
