"""The float student as its int8 version's assistant teacher, alone or beside the teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from edgedistill.distill.views import Logits, Views
from edgedistill.teachers.types import Answers, Teacher


@dataclass(frozen=True, eq=False)
class Assistant:
    """A trained float student; ``alone``, or its logits are averaged with the teacher's.

    The mean of logits is the geometric mean of both softened answers, at any temperature. An assistant
    between teacher and student is Mirzadeh et al. 2020's (TAKD).
    """

    logits: Logits
    alone: bool

    def answer(self, images_NHWC: NDArray[np.uint8], teacher: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits [N, classes] where the teacher's are ``teacher``."""
        own = self.logits(images_NHWC)
        return own if self.alone else np.asarray((own + teacher) / 2, np.float32)

    def helps(self, teacher: Teacher) -> Teacher:
        """The teacher with the assistant's answers; its layers stay its own."""

        def logits(images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
            if self.alone:
                return self.logits(images_NHWC)
            return self.answer(images_NHWC, teacher.logits(images_NHWC))

        def inside(images_NHWC: NDArray[np.uint8], names: Sequence[str] | None) -> Answers:
            assert teacher.inside is not None
            answers = teacher.inside(images_NHWC, names)
            return Answers(self.answer(images_NHWC, answers.logits), answers.features)

        def knowing(labels: NDArray[np.int64]) -> Teacher:
            assert teacher.knowing is not None
            return self.helps(teacher.knowing(labels))

        return replace(
            teacher,
            logits=logits,
            inside=None if teacher.inside is None else inside,
            knowing=None if teacher.knowing is None else knowing,
        )

    def joins(self, views: Views | None) -> Views | None:
        """Cached views on which the assistant is asked batch by batch."""
        if views is None:
            return None
        return _HelpedViews(views.images, views.logits, views.features, assistant=self)


@dataclass(frozen=True, eq=False)
class _HelpedViews(Views):
    assistant: Assistant = field(kw_only=True)

    def batch(
        self, epoch: int, indices: NDArray[np.int64], seed: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], dict[str, NDArray[np.float16]]]:
        images, soft, features = super().batch(epoch, indices, seed)
        return images, self.assistant.answer(images, soft), features
