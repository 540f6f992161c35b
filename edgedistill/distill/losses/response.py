"""Losses on what the networks answer: hard labels, and the teacher's logits in several forms."""

# Shapes: student and teacher are logits [N,C] unless said otherwise, labels [N] class numbers.

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def hard_labels(student: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with the hard labels. student [N, C] logits, labels [N]."""
    return F.cross_entropy(student, labels)


def soft_targets(student: Tensor, teacher: Tensor, temperature: float = 4.0) -> Tensor:
    """``T^2 * KL(softmax(teacher / T) || softmax(student / T))`` averaged over the batch.

    The factor T^2 keeps the gradient's size independent of T (Hinton et al. 2015, section 2.1).
    student, teacher: logits [N, C].
    """
    p = F.log_softmax(teacher / temperature, dim=1)
    q = F.log_softmax(student / temperature, dim=1)
    return F.kl_div(q, p, reduction="batchmean", log_target=True) * temperature**2


def hinton(
    student: Tensor, teacher: Tensor, labels: Tensor, temperature: float = 4.0, alpha: float = 0.9
) -> Tensor:
    """``alpha * soft_targets + (1 - alpha) * hard_labels``."""
    return alpha * soft_targets(student, teacher, temperature) + (1 - alpha) * hard_labels(student, labels)


def decoupled(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    temperature: float = 4.0,
    alpha: float = 1.0,
    beta: float = 8.0,
) -> Tensor:
    """``alpha * TCKD + beta * NCKD`` averaged over the batch (Zhao et al. 2022, section 3.3).

    The paper's code lets its weight rise over 20 epochs of 240 (``warmup`` in the recipe), adds the
    labels' cross-entropy, and takes beta 8 for ResNet-32x4 and 2 for ResNet-56 as the teacher.
    """
    target, others = decoupled_parts(student, teacher, labels, temperature)
    return (alpha * target + beta * others).mean()


def decoupled_parts(
    student: Tensor, teacher: Tensor, labels: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """TCKD and NCKD of each example, both times T^2: [N], [N].

    TCKD compares target with non-target, NCKD the non-target classes among themselves; soft-targets
    are ``TCKD + (1 - p_target) * NCKD`` (Zhao et al. 2022, section 3.1).
    """
    binary, among = zip(*(_decoupled(z / temperature, labels) for z in (student, teacher)), strict=True)
    target, others = (
        (teacher_log.exp() * (teacher_log - student_log)).sum(1) * temperature**2
        for student_log, teacher_log in (binary, among)
    )
    return target, others


def _decoupled(scaled: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """log probabilities: of target against all others [N,2], and of the others alone [N,C-1]."""
    target = F.one_hot(labels, scaled.shape[1]).bool()
    rest = scaled[~target].view(len(scaled), -1)
    whole = scaled.logsumexp(1)
    binary = torch.stack((scaled[target] - whole, rest.logsumexp(1) - whole), 1)
    return binary, F.log_softmax(rest, 1)


def standardised(student: Tensor, teacher: Tensor, temperature: float = 2.0) -> Tensor:
    """soft-targets of logits brought to mean 0 and deviation 1 in each row (Sun et al. 2024, section 4)."""
    return soft_targets(_z_score(student), _z_score(teacher), temperature)


def _z_score(logits: Tensor) -> Tensor:
    return (logits - logits.mean(1, keepdim=True)) / (logits.std(1, keepdim=True) + 1e-7)


def soft_cross_entropy(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """``-T^2 * sum p log q``: soft-targets plus the teacher's own entropy, so the same gradient."""
    p = F.softmax(teacher / temperature, dim=1)
    q = F.log_softmax(student / temperature, dim=1)
    return -(p * q).sum(1).mean() * temperature**2


def regression(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the outputs (Ba & Caruana 2014, section 2.2)."""
    return F.mse_loss(student, teacher)


def multi_label(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """``T^2`` times the binary cross-entropy of each output, for classes that don't exclude each other."""
    soft = torch.sigmoid(teacher / temperature)
    return F.binary_cross_entropy_with_logits(student / temperature, soft) * temperature**2
