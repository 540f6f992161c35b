"""What a synthetic image should be besides normal for the teacher: of its class, smooth, and instructive."""

# Shapes: images [N,C,H,W] 0..1, logits [N,K], targets [N] class numbers. All results are scalars.

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def of_class(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy with the class that the image is to show (Yin et al. 2020, equation 1)."""
    return F.cross_entropy(logits, targets)


def roughness(images: Tensor) -> Tensor:
    """Total variation: mean absolute difference of neighbours, down and across (Mahendran & Vedaldi 2015)."""
    down = (images[:, :, 1:] - images[:, :, :-1]).abs().mean()
    across = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().mean()
    return down + across


def agreement(rival: Tensor, teacher: Tensor) -> Tensor:
    """One minus the Jensen-Shannon divergence in nats, 1 where both say the same (Yin et al. 2020, eq. 9)."""
    p, q = F.log_softmax(rival, dim=1), F.log_softmax(teacher, dim=1)
    middle = torch.logsumexp(torch.stack([p, q]), dim=0) - torch.log(torch.tensor(2.0))
    divergence = F.kl_div(middle, p, reduction="batchmean", log_target=True)
    divergence = divergence + F.kl_div(middle, q, reduction="batchmean", log_target=True)
    return 1 - divergence / 2


def same_answer_distance(rival: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher || rival) summed over the images on which both name the same class, over N.

    Where they disagree the image is instructive already, and pushing it further makes noise
    (Fang et al. 2021, section 3.4).
    """
    p, q = F.log_softmax(teacher, dim=1), F.log_softmax(rival, dim=1)
    distance = F.kl_div(q, p, reduction="none", log_target=True).sum(1)  # [N]
    same = (rival.argmax(1) == teacher.argmax(1)).to(distance.dtype)
    return (distance * same).mean()


def contrast(first: Tensor, second: Tensor, bank: Tensor, temperature: float) -> Tensor:
    """InfoNCE: each image's two views are to be nearer than any other image (Fang et al. 2021, equation 7).

    first, second: features of two views, unit vectors [N,D]; bank: features of earlier images [M,D].
    """
    logits = first @ torch.cat([second, bank]).T / temperature  # [N, N+M]
    return F.cross_entropy(logits, torch.arange(len(first)))
