"""The losses a student can learn from: pure functions, one row each with paper and equation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


def hard_labels(student: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with the hard labels. student [N, C] logits, labels [N]."""
    return F.cross_entropy(student, labels)


def soft_targets(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``T^2 * KL(softmax(teacher / T) || softmax(student / T))`` averaged over the batch.

    The factor T^2 keeps the gradient's size independent of T (Hinton et al. 2015, section 2.1).
    student, teacher: logits [N, C].
    """
    p = F.log_softmax(teacher / temperature, dim=1)
    q = F.log_softmax(student / temperature, dim=1)
    return F.kl_div(q, p, reduction="batchmean", log_target=True) * temperature**2


def hinton(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, alpha: float) -> Tensor:
    """``alpha * soft_targets + (1 - alpha) * hard_labels``."""
    return alpha * soft_targets(student, teacher, temperature) + (1 - alpha) * hard_labels(student, labels)


@dataclass(frozen=True)
class Loss:
    """A row of the table."""

    function: Callable[..., Tensor]
    summary: str
    source: str


LOSSES: Mapping[str, Loss] = {
    "hard-labels": Loss(
        hard_labels, "cross-entropy with the labels: plain training (alpha 0)", "any textbook"
    ),
    "soft-targets": Loss(
        soft_targets, "T^2 KL(teacher || student) at temperature T", "Hinton et al. 2015, section 2.1"
    ),
    "hinton": Loss(
        hinton, "alpha * soft-targets + (1 - alpha) * hard-labels", "Hinton et al. 2015, section 2"
    ),
}
