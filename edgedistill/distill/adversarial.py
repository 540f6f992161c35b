"""Trains against an attacker: PGD on every batch, and the losses of adversarial distillation."""

# Shapes: pixels are [N,C,H,W] of 0..1, x the network's input, (255 pixels - 128) / 64, logits [N,classes].

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgedistill import launch
from edgedistill.data.types import ImageData
from edgedistill.distill import precision
from edgedistill.distill.evaluate import from_pixels, to_pixels
from edgedistill.distill.losses import hard_labels, soft_targets
from edgedistill.distill.mix import Batch
from edgedistill.errors import InputError
from edgedistill.recipe import AdversarialSection, DistillSection, Recipe

_TRAINING = {"method", "epsilon", "step", "steps", "clean_weight"}  # keys that decide what is learned


def pgd(
    objective: Callable[[Tensor], Tensor],
    pixels: Tensor,
    epsilon: float,
    step: float,
    steps: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Raises ``objective`` within ``epsilon`` of ``pixels`` (Madry et al. 2018, section 2.1, L-infinity).

    ``x <- clip(x + step * sign(grad))``, clipped to the ball and to 0..1, from a uniformly random start.

    Args:
        objective: pixels to a scalar, the sum (or mean) over images of what each is to raise.
        epsilon, step: of pixels 0..1.
        generator: of the start; None: torch's own, which the training loop seeds every epoch.

    Returns:
        Changed pixels of the last step, without a gradient.
    """
    if epsilon == 0:
        return pixels.detach().clone()
    low, high = (pixels - epsilon).clamp_min(0), (pixels + epsilon).clamp_max(1)
    start = torch.empty_like(pixels).uniform_(-epsilon, epsilon, generator=generator)
    moved = torch.clamp(pixels + start, low, high)
    for _ in range(steps):
        moved.requires_grad_(True)
        (gradient,) = torch.autograd.grad(objective(moved), moved)
        moved = torch.clamp(moved.detach() + step * gradient.sign(), low, high)
    return moved.detach()


def ard(
    moved: Tensor, clean: Tensor, teacher: Tensor, labels: Tensor, temperature: float, alpha: float
) -> dict[str, Tensor]:
    """``alpha T^2 KL(t(x) || s(x')) + (1 - alpha) CE(s(x), y)`` (Goldblum et al. 2020, equation 3).

    x' raises ``CE(s(x'), y)``. Arguments: logits of the student on changed and on unchanged images, of
    the teacher on unchanged ones, and labels [N].
    """
    return {
        "adversarial": alpha * soft_targets(moved, teacher, temperature),
        "labels": (1 - alpha) * hard_labels(clean, labels),
    }


def rslad(moved: Tensor, clean: Tensor, teacher: Tensor, clean_weight: float = 1 / 6) -> dict[str, Tensor]:
    """``(1 - w) KL(t(x) || s(x')) + w KL(t(x) || s(x))`` with w 1/6 (Zi et al. 2021, section 3.3).

    x' raises ``KL(t(x) || s(x'))``: no label is read, and the temperature is 1. Arguments as of ``ard``.
    """
    return {
        "adversarial": (1 - clean_weight) * soft_targets(moved, teacher, 1.0),
        "clean": clean_weight * soft_targets(clean, teacher, 1.0),
    }


@dataclass(frozen=True)
class Adversary:
    """The attacker of a training, with the losses on what it changed."""

    section: AdversarialSection
    temperature: float
    alpha: float

    def __call__(self, net: nn.Module, x: Tensor, batch: Batch, autocast: str) -> dict[str, Tensor]:
        """The weighted losses of a batch by name.

        The attacker meets the network in evaluation mode, so that its steps leave the statistics of
        BatchNorm alone (as the code of Zhang et al. 2019 and Zi et al. 2021 does).

        Args:
            x: the network's input [N,C,H,W].
            autocast: the precision in which the network computes.
        """

        def answer(x: Tensor) -> Tensor:
            with precision.autocast(autocast, x.device.type):
                out: Tensor = net(x)
            return out.float()

        net.eval()
        moved = from_pixels(self._moved(lambda pixels: answer(from_pixels(pixels)), to_pixels(x), batch))
        net.train()
        if self.section.method == "pgd":  # Madry et al. 2018, equation 2.1
            return {"adversarial": hard_labels(answer(moved), batch.labels)}
        assert batch.soft is not None, "ARD and RSLAD learn from a teacher"
        if self.section.method == "ard":
            return ard(answer(moved), answer(x), batch.soft, batch.labels, self.temperature, self.alpha)
        return rslad(answer(moved), answer(x), batch.soft, self.section.clean_weight)

    def _moved(self, answer: Callable[[Tensor], Tensor], pixels: Tensor, batch: Batch) -> Tensor:
        section, soft = self.section, batch.soft

        def objective(moved: Tensor) -> Tensor:
            if section.method == "rslad":
                assert soft is not None, "RSLAD learns from a teacher"
                return soft_targets(answer(moved), soft, 1.0)
            return hard_labels(answer(moved), batch.labels)

        return pgd(objective, pixels, section.epsilon / 255, section.step_size / 255, section.steps)


def make(section: AdversarialSection, distill: DistillSection, data: ImageData) -> Adversary | None:
    """The attacker that a recipe asks for; None: none.

    Raises:
        InputError: its attacks need labels, and training examples have none.
    """
    if section.method == "none":
        return None
    unlabelled = data.train.unlabelled
    if unlabelled and section.method != "rslad":
        raise InputError(
            f"the attacks of {section.method!r} need labels, and {unlabelled} of {len(data.train)} "
            "training examples have none",
            where="adversarial.method",
            fix='method = "rslad" needs no labels',
        )
    return Adversary(section, distill.temperature, distill.alpha)


def resolved(recipe: Recipe) -> Recipe:
    """The recipe whose distill.alpha says what its adversarial method asks the teacher.

    Raises:
        InputError: losses that the method would ignore, or weights by which nothing is attacked.
    """
    method, distill = recipe.adversarial.method, recipe.distill
    if method == "none":
        return recipe
    if distill.losses:
        raise InputError(
            f"adversarial training by {method!r} has losses of its own, and the recipe names others",
            where="distill.losses",
            fix='leave them out, or adversarial.method = "none"',
        )
    if launch.size() > 1:
        raise InputError(
            "the attacker works in one process",
            where=f"{launch.size()} processes",
            fix='train without a launcher, or adversarial.method = "none"',
        )
    if distill.mixup is not None:
        raise InputError(
            "images are not mixed and attacked at once",
            where="distill.mixup",
            fix='leave it out, or adversarial.method = "none"',
        )
    if method == "ard" and distill.alpha == 0:
        raise InputError(
            "with weight 0 for the teacher, ARD never looks at an attacked image",
            where="distill.alpha",
            fix='distill.alpha above 0 (1 in the paper\'s code), or adversarial.method = "pgd"',
        )
    alpha = {"pgd": 0.0, "rslad": 1.0}.get(method, distill.alpha)
    return recipe.model_copy(update={"distill": distill.model_copy(update={"alpha": alpha})})


def untaught(section: AdversarialSection) -> AdversarialSection:
    """The method that hardens a student by labels alone, where nobody teaches."""
    return section if section.method == "none" else section.model_copy(update={"method": "pgd"})


def identity(section: AdversarialSection) -> dict[str, str]:
    """What enters the hash of a training: nothing without a method, as before there was one."""
    if section.method == "none":
        return {}
    return {"adversarial": section.model_dump_json(include=_TRAINING)}
