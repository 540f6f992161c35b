"""Losses between the branches of one network: its shallow layers learn from its deepest."""

# Shapes: logits [N,C], features [N,D], labels [N]; a branch answers with both of the first.

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from edgedistill.distill.losses.response import hard_labels, soft_targets


def byot(
    student: Tensor,
    labels: Tensor,
    feature: Tensor,
    branches: Sequence[tuple[Tensor, Tensor]],
    temperature: float = 3.0,
    alpha: float = 0.3,
    hint: float = 0.03,
) -> Tensor:
    """Each branch learns from the labels, from the deepest answer, and from the deepest feature.

    ``sum_i (1 - alpha) CE(q_i, y) + alpha T^2 KL(q^T || q_i^T) + hint |F_i - F|^2``, averaged over the
    batch (Zhang et al. 2019, BYOT, section 3.2). What the deepest part answers is a target here: no
    gradient goes there, so that it does not come towards its branches. The paper's sum holds the
    deepest part's own cross-entropy, too: that is another entry of the mix. The defaults are those of its
    authors' code (pytorch-self-distillation-final), which leaves T^2 out and so weighs the answers less.

    Args:
        student: the deepest answer.
        labels: class numbers.
        feature: the deepest feature F, averaged over positions.
        branches: logits and feature F_i of each shallow branch.
        temperature: T.
        alpha: share of the deepest answer against the labels.
        hint: weight of the deepest feature.
    """
    answer, feature = student.detach(), feature.detach()
    return torch.stack(
        [
            (1 - alpha) * hard_labels(logits, labels)
            + alpha * soft_targets(logits, answer, temperature)
            + hint * (own - feature).square().sum(1).mean()
            for logits, own in branches
        ]
    ).sum()
