"""Losses on how the examples of a batch relate to one another; student and teacher may differ in width."""

# Shapes: embeddings [N, ...], flattened to [N,D]; logits are embeddings, too. Student and teacher
# share N only.

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_TINY = 1e-12  # under a root, whose slope at 0 is infinite


def distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Huber loss of all pairs' distances, each network's divided by their mean.

    Park et al. 2019 (RKD), section 3.2.1; the paper's weight is 25.
    """
    return F.smooth_l1_loss(_scaled_distances(student), _scaled_distances(teacher))


def _scaled_distances(x: Tensor) -> Tensor:
    """Distances of the pairs i < j, divided by their mean: [N(N-1)/2]."""
    rows, columns = torch.triu_indices(len(x), len(x), 1)
    pairs = _distances(_gram(x))[rows, columns]
    return pairs / pairs.mean().clamp_min(_TINY)


def angle(student: Tensor, teacher: Tensor) -> Tensor:
    """Huber loss of the angles' cosines at every example, between every two others.

    Park et al. 2019 (RKD), section 3.2.2; the paper's weight is 50. Costs N^3 values a batch.
    """
    return F.smooth_l1_loss(_angles(student), _angles(teacher))


def _angles(x: Tensor) -> Tensor:
    """cos of the angle i-j-k at [j,i,k]; 0 where i or k is j, or too near to tell the direction.

    A distance from scalar products is wrong by about ``sqrt(eps)`` of the longest vector.
    """
    gram = _gram(x)
    others = 1 - torch.eye(len(x), dtype=x.dtype, device=x.device)
    lengths = _distances(gram)
    unsure = 4 * math.sqrt(torch.finfo(x.dtype).eps) * gram.diagonal().amax().clamp_min(_TINY).sqrt()
    inverse = (others / lengths).masked_fill(lengths <= unsure, 0)  # 1 / |x_i - x_j|
    # (x_i - x_j).(x_k - x_j) = G_ik - G_ij - G_jk + G_jj
    dots = gram[None] - gram[:, :, None] - gram[:, None, :] + gram.diagonal()[:, None, None]
    return dots * inverse[:, :, None] * inverse[:, None, :]


def _gram(x: Tensor) -> Tensor:
    """Scalar products [N,N] of the examples about their mean, which no difference depends on."""
    flat = x.flatten(1)
    centred = flat - flat.mean(0)
    return centred @ centred.T


def _distances(gram: Tensor) -> Tensor:
    squares = gram.diagonal()
    return (squares[:, None] + squares[None] - 2 * gram).clamp_min(_TINY).sqrt()


def similarity(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the row-normalised similarity matrices.

    Tung & Mori 2019 (SP), section 3; the paper's weight is 3000.
    """
    return F.mse_loss(similarity_rows(student), similarity_rows(teacher))


def similarity_rows(x: Tensor) -> Tensor:
    """Scalar products of every two examples, each row of length 1: [N,N]."""
    flat = x.flatten(1)
    return F.normalize(flat @ flat.T, dim=1)


def probabilistic(student: Tensor, teacher: Tensor) -> Tensor:
    """KL of the teacher's and the student's conditional probabilities of neighbours, mean of all pairs.

    Kernel ``(cos + 1) / 2``, rows normalised to sum 1 (Passalis & Tefas 2018, PKT, section 3);
    common weights are 10^4 and more, as each of the N^2 terms is about 1/N small.
    """
    p, q = _neighbours(teacher), _neighbours(student)
    return (p * ((p + 1e-7) / (q + 1e-7)).log()).mean()


def _neighbours(x: Tensor) -> Tensor:
    unit = F.normalize(x.flatten(1), dim=1)
    kernel = (unit @ unit.T + 1) / 2
    return kernel / kernel.sum(1, keepdim=True)


def contrastive(own: Tensor, positive: Tensor, negatives: Tensor, log_mean: Tensor, tau: float) -> Tensor:
    """``-log h(positive) - sum log(1 - h(negative))`` with ``h = e / (e + K m)``, ``e = exp(u.v / tau)``.

    Tian et al. 2020 (CRD), section 3.2: h is the critic ``e' / (e' + K / M)`` for M examples and
    ``e' = e / Z``, where the paper's code takes ``Z = m M``, m the mean of e over its first batch.

    Args:
        own: one network's embeddings [N,D] of length 1.
        positive: the other network's embeddings of the same examples [N,D].
        negatives: the other network's embeddings of K other examples each [N,K,D].
        log_mean: log m, a constant.
        tau: the temperature of the products.
    """
    shift = log_mean + math.log(negatives.shape[1])
    hits = F.logsigmoid((own * positive).sum(1) / tau - shift)
    misses = F.logsigmoid(shift - products(own, negatives) / tau).sum(1)
    return -(hits + misses).mean()


def products(own: Tensor, others: Tensor) -> Tensor:
    """own [N,D], others [N,K,D] -> [N,K]."""
    return (others @ own[:, :, None]).squeeze(2)
