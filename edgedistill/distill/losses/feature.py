"""Losses on layers inside the networks: one of the student's learns from one or more of the teacher's."""

# Shapes: feature maps [N,C,H,W], or vectors [N,D]. A projector has brought the student's to the
# teacher's shape where the loss compares values; H and W are equal everywhere.

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from edgedistill.distill.losses.relation import similarity_rows


def hint(student: Tensor, teacher: Tensor) -> Tensor:
    """Half the mean squared difference of the projected student's feature and the teacher's.

    Romero et al. 2015 (FitNets), section 2.2.
    """
    return 0.5 * F.mse_loss(student, teacher)


def attention(student: Tensor, teacher: Tensor, power: float = 2.0) -> Tensor:
    """Mean squared difference of the attention maps, where a map is normalised ``mean_c |F_c|^p``.

    Zagoruyko & Komodakis 2017, section 3.1. Channels are averaged away: no projector is needed.
    student [N,C,H,W], teacher [N,C',H,W].
    """
    return F.mse_loss(_attention_map(student, power), _attention_map(teacher, power))


def _attention_map(feature: Tensor, power: float) -> Tensor:
    return F.normalize(feature.abs().pow(power).mean(1).flatten(1), dim=1)  # [N,H*W]


def cosine(student: Tensor, teacher: Tensor) -> Tensor:
    """``1 - cos`` of the projected student's channels and the teacher's at each position, averaged."""
    return (1 - F.cosine_similarity(student, teacher, dim=1)).mean()


def many_to_one(student: Tensor, projected: Sequence[Tensor], teachers: Sequence[Tensor]) -> Tensor:
    """Several teacher layers teach one student layer, each example weighting them by likeness.

    ``sum_t w_t * mean (P_t(F) - F_t)^2`` with ``w = softmax_t(row . row_t)``, the rows of the batch's
    similarity matrices (Chen et al. 2021, SemCKD, "Semantic Calibration", without learned query and key).

    Args:
        student: the student's feature [N, ...], before projection.
        projected: the student's feature in the shape of each teacher layer.
        teachers: the teacher's features.
    """
    own = similarity_rows(student)
    likeness = torch.stack([(own * similarity_rows(teacher)).sum(1) for teacher in teachers], 1)  # [N,T]
    distances = torch.stack(
        [(p - t).square().flatten(1).mean(1) for p, t in zip(projected, teachers, strict=True)], 1
    )
    return (F.softmax(likeness, 1) * distances).sum(1).mean()
