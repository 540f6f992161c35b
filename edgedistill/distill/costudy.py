"""Co-studying: teacher and int8 student learn from each other, so that int8 can follow the teacher better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from edgedistill import teachers
from edgedistill.distill.evaluate import to_pixels
from edgedistill.distill.losses import hinton
from edgedistill.distill.mix import Batch, LossMix
from edgedistill.teachers.gradients import Network
from edgedistill.teachers.module import torch_inside
from edgedistill.teachers.types import Answers, Teacher

_TEACHERS_ALPHA = 0.5  # labels and softened answers weigh the same: our choice


class CoStudy(LossMix):
    """The second phase of Kim et al. 2019 (QKD), section 3.3; the teacher is what is learned along.

    The student lowers Hinton's loss against the teacher, the teacher lowers it against the student; no
    gradient passes from one to the other. The teacher's BatchNorm statistics go on learning, too.

    Args:
        network: changed in place.
        temperature: of both.
        alpha: weight of the student's soft targets.
    """

    def __init__(self, network: Network, temperature: float, alpha: float) -> None:
        super().__init__(())
        self.network, self.temperature, self.alpha = network, temperature, alpha
        module = network.module.requires_grad_(True).train()
        self.teacher = module.to(memory_format=network.layout)  # type: ignore[call-overload]

    def forward(
        self, out: Tensor, layers: Mapping[str, Tensor], batch: Batch, epoch: int | None
    ) -> dict[str, Tensor]:
        """Both losses; ``out`` are the student's logits [N,C]."""
        assert batch.images is not None
        answers = self.network(to_pixels(batch.images))
        student = hinton(out, answers.detach(), batch.labels, self.temperature, self.alpha)
        teacher = hinton(answers, out.detach(), batch.labels, self.temperature, _TEACHERS_ALPHA)
        return {"the student's loss": student, "the teacher's loss": teacher}

    def frozen(self, teacher: Teacher) -> Teacher:
        """``teacher`` with what its network has learned, frozen for tutoring."""
        self.teacher.requires_grad_(False).eval()
        run = torch_inside(self.teacher, teacher.name)

        def inside(images_NHWC: NDArray[np.uint8], names: Sequence[str] | None) -> Answers:
            out, features = run(self.network.before(images_NHWC), names)
            if self.network.soft:
                out = teachers.log_of(out)
            return Answers(out, features)

        return replace(teacher, logits=lambda images: inside(images, ()).logits, inside=inside)
