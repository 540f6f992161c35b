"""The memory bank of contrastive distillation: an embedding of every training example by both networks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgedistill.distill.losses.relation import contrastive, products


class Bank(nn.Module):
    """Embeds both networks' vectors to one width and contrasts each with the other's remembered ones.

    Tian et al. 2020 (CRD), sections 3.2 and 4. All state is in parameters and buffers, so a
    checkpoint holds it; negatives come from torch's global generator, which the loop seeds.
    """

    own: Tensor
    teachers: Tensor
    log_means: Tensor

    def __init__(
        self,
        student_width: int,
        teacher_width: int,
        examples: int,
        *,
        dimension: int,
        negatives: int,
        tau: float,
        momentum: float,
    ) -> None:
        super().__init__()
        self.student = nn.Linear(student_width, dimension)
        self.teacher = nn.Linear(teacher_width, dimension)
        self.negatives, self.tau, self.momentum = negatives, tau, momentum
        self.register_buffer("own", F.normalize(torch.randn(examples, dimension), dim=1))
        self.register_buffer("teachers", F.normalize(torch.randn(examples, dimension), dim=1))
        self.register_buffer("log_means", torch.full((2,), torch.nan))  # of the first batch

    def forward(self, student: Tensor, teacher: Tensor, indices: Tensor) -> Tensor:
        """student, teacher [N, ...] of the training examples ``indices`` [N]; feature maps are averaged."""
        u = F.normalize(self.student(_vector(student)), dim=1)
        v = F.normalize(self.teacher(_vector(teacher)), dim=1)
        others = self._others(indices)
        of_teacher, of_student = self.teachers[others], self.own[others]  # [N,K,D]
        if self.log_means.isnan().any():
            for i, (a, b) in enumerate(((u, of_teacher), (v, of_student))):
                exponents = products(a.detach(), b) / self.tau
                self.log_means[i] = exponents.exp().mean().log()
        loss = contrastive(u, self.teachers[indices], of_teacher, self.log_means[0], self.tau)
        loss = loss + contrastive(v, self.own[indices], of_student, self.log_means[1], self.tau)
        with torch.no_grad():
            self._remember(self.own, indices, u)
            self._remember(self.teachers, indices, v)
        return loss

    def _others(self, indices: Tensor) -> Tensor:
        """[N,K] examples, none of them the row's own."""
        steps = torch.randint(1, len(self.own), (len(indices), self.negatives)).to(indices.device)
        return (indices[:, None] + steps) % len(self.own)

    def _remember(self, memory: Tensor, indices: Tensor, new: Tensor) -> None:
        mixed = memory[indices] * self.momentum + new * (1 - self.momentum)
        memory[indices] = F.normalize(mixed, dim=1)


def _vector(x: Tensor) -> Tensor:
    return x.mean((2, 3)) if x.ndim == 4 else x.flatten(1)
