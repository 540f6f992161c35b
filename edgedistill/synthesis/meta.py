"""A generator that learns where to start, so that a few steps make a batch (Fast-Datafree).

Each batch starts from a common generator, adapts a copy of it and its noise for a few steps, and
keeps the best images; the common generator then moves along the sum of the copy's gradients
(first-order MAML). Source: Fang et al. 2022, "Up to 100x Faster Data-free Knowledge Distillation",
sections 3.2 and 3.3 and algorithm 1.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from edgedistill.synthesis import priors
from edgedistill.synthesis.contrast import Contrast
from edgedistill.synthesis.generator import NOISE, Generator
from edgedistill.synthesis.jitter import jitter
from edgedistill.synthesis.setting import Logits, Setting, Weights

_BETAS = (0.5, 0.999)  # Radford et al. 2015, section 4, as all generators of this kind
_NOISE_RATE = 10 / 3  # the noise's rate by the generator's (Fang et al. 2022, 5 steps: 0.01 and 0.003)
MOMENTUM = 0.9  # of the statistics (Fang et al. 2022, appendix)

# Fang et al. 2022 but for the class's weight, 0.5 there (benchmarks/LOG.md)
DEFAULTS = Weights(steps=5, lr=3e-3, statistics=10.0, prior=5.0, smoothness=0.0, rival=1.0, contrast=0.0)


class MetaGenerator:
    """The common generator with its optimiser."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.generator = Generator(setting.shape_HWC, setting.width)
        w = setting.weights
        self.optimiser = torch.optim.Adam(self.generator.parameters(), w.lr * w.steps, betas=_BETAS)
        self.contrast = Contrast(setting) if w.contrast else None

    def batch(self, targets: Tensor, rival: Logits | None) -> tuple[Tensor, float]:
        """Adapts a copy for a few steps and returns the images of the step with the lowest loss."""
        setting, w = self.setting, self.setting.weights
        z = torch.randn(len(targets), NOISE).requires_grad_()
        fast = copy.deepcopy(self.generator).train()
        groups: list[dict[str, Any]] = [
            {"params": list(fast.parameters())},
            {"params": [z], "lr": _NOISE_RATE * w.lr},
        ]
        steps = torch.optim.Adam(groups, lr=w.lr, betas=_BETAS)
        self.optimiser.zero_grad()
        best, best_loss = torch.empty(0), float("inf")
        for _ in range(w.steps):
            images = fast(z)
            view = jitter(images, mirror=setting.mirror)
            logits = setting.teacher(view)
            loss = w.statistics * setting.statistics.loss() + w.prior * priors.of_class(logits, targets)
            if w.smoothness:
                loss = loss + w.smoothness * priors.roughness(images)
            if rival is not None and w.rival:
                loss = loss - w.rival * priors.same_answer_distance(rival(view), logits)
            if self.contrast is not None:
                loss = loss + w.contrast * self.contrast.loss(images)
            value = float(loss.detach())
            if not math.isfinite(value):
                return images.detach(), value
            if value < best_loss:
                best, best_loss = images.detach(), value
            steps.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            for common, own in zip(self.generator.parameters(), fast.parameters(), strict=True):
                assert own.grad is not None
                common.grad = own.grad.clone() if common.grad is None else common.grad.add_(own.grad)
            steps.step()
            if self.contrast is not None:
                self.contrast.step()
        setting.statistics.remember()
        self.optimiser.step()
        if self.contrast is not None:
            self.contrast.remember()
        return best, best_loss

    def state(self) -> Mapping[str, Any]:
        return {
            "generator": self.generator.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "statistics": self.setting.statistics.earlier,
            "contrast": None if self.contrast is None else self.contrast.state(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        self.generator.load_state_dict(state["generator"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.setting.statistics.earlier = [tuple(pair) for pair in state["statistics"]]
        if self.contrast is not None:
            self.contrast.load(state["contrast"])
