"""Makes a teacher of a trained student: what assistants and earlier generations become."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from edgedistill.distill.evaluate import to_input
from edgedistill.teachers.module import from_module
from edgedistill.teachers.types import Answers, Teacher, joined

_BATCH = 250


def as_teacher(net: nn.Module, name: str) -> Teacher:
    """``net`` as the next student's teacher: it sees pixels as a student does, and shows its layers.

    Args:
        net: float32 [N,C,H,W] -> logits [N,classes]; it is put into evaluation mode.
        name: its spec, which goes into the fingerprint beside its weights.
    """
    loaded = from_module(net, name, name)
    assert loaded.inside is not None

    def inside(images_NHWC: NDArray[np.uint8], names: Sequence[str] | None) -> Answers:
        assert loaded.inside is not None
        starts = range(0, len(images_NHWC), _BATCH)
        return joined([loaded.inside(to_input(images_NHWC[i : i + _BATCH]).numpy(), names) for i in starts])

    def logits(images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        return inside(images_NHWC, ()).logits

    return Teacher(name, logits, loaded.identity.hex(), loaded.parameters, inside=inside)
