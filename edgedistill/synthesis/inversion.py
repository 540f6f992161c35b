"""Images by gradient descent on their pixels, starting from noise (DeepInversion).

Source: Yin et al. 2020, "Dreaming to Distill", sections 3.2 and 3.3; the rival is Adaptive
DeepInversion's. Slow, needs no generator, and each image stands for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from edgedistill.synthesis import priors
from edgedistill.synthesis.jitter import jitter
from edgedistill.synthesis.setting import Logits, Setting, Weights

_SPREAD = 0.25  # of the noise in pixels 0..1, about that of natural images
DEFAULTS = Weights(steps=200, lr=0.025, statistics=10.0, prior=1.0, smoothness=1.0, rival=0.0, contrast=0.0)


class Inversion:
    """Knows nothing from one batch to the next."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def batch(self, targets: Tensor, rival: Logits | None) -> tuple[Tensor, float]:
        """Descends from noise and returns the images of the last step."""
        setting, w = self.setting, self.setting.weights
        height, width, channels = setting.shape_HWC
        noise = torch.randn(len(targets), channels, height, width)
        images = (0.5 + _SPREAD * noise).clamp_(0, 1).requires_grad_()
        optimiser = torch.optim.Adam([images], w.lr, betas=(0.5, 0.9))
        value = float("inf")
        for step in range(w.steps):
            for group in optimiser.param_groups:
                group["lr"] = w.lr * (1 - step / w.steps)
            view = jitter(images, mirror=setting.mirror)
            logits = setting.teacher(view)
            loss = w.statistics * setting.statistics.loss() + w.prior * priors.of_class(logits, targets)
            loss = loss + w.smoothness * priors.roughness(images)
            if rival is not None and w.rival:
                loss = loss + w.rival * priors.agreement(rival(view), logits)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            with torch.no_grad():
                images.clamp_(0, 1)
            value = float(loss.detach())
        return images.detach(), value

    def state(self) -> Mapping[str, Any]:
        return {}

    def load(self, state: Mapping[str, Any]) -> None: ...
