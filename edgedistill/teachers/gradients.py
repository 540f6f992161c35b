"""A teacher that gradients flow through, from its logits back to the pixels: what synthesis needs of one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgedistill import teachers
from edgedistill.errors import TeacherError
from edgedistill.recipe import TeacherSection
from edgedistill.teachers import preprocess
from edgedistill.teachers.loaded import Request
from edgedistill.teachers.module import first_tensor
from edgedistill.teachers.preprocess import Preprocess


@dataclass(frozen=True, eq=False)
class Network:
    """A torch teacher in evaluation mode with its weights frozen; ``fingerprint`` is ``Teacher``'s."""

    name: str
    module: nn.Module
    before: Preprocess
    fingerprint: str

    def __call__(self, pixels_NCHW: Tensor) -> Tensor:
        """Pixels float32 0..1 as the images have them -> logits [N, classes], on the teacher's device."""
        x = prepared(self.before, pixels_NCHW).contiguous(memory_format=torch.channels_last)
        return first_tensor(self.module(x), self.name).float()


def load(section: TeacherSection, *, classes: int, trust: bool = False) -> Network:
    """The teacher of a recipe, before there is any image to show to it.

    Raises:
        TeacherError: it cannot be loaded, or is no torch module, so that no gradient reaches the pixels.
    """
    kind, body = teachers.kind_of(section.spec)
    loaded = teachers.TEACHERS[kind].load(Request(section.spec, body, classes, trust))
    if loaded.module is None:
        raise TeacherError(
            "images can only be synthesised from a torch teacher: no gradient flows through this one",
            where=f"teacher {section.spec}",
            fix="give its weights with the function that builds it (FILE@module:callable), or real images",
        )
    channels = loaded.channels if loaded.channels is not None else 3
    size = (section.resolution, section.resolution) if section.resolution is not None else loaded.size
    mean, std = preprocess.parse(section.normalisation, channels, loaded.mean_std)
    before = Preprocess(channels, size, mean, std)
    module = loaded.module.eval().requires_grad_(False)
    fingerprint = hashlib.sha256(loaded.identity + f"{before}".encode()).hexdigest()
    return Network(loaded.name, module, before, fingerprint)


def prepared(before: Preprocess, pixels_NCHW: Tensor) -> Tensor:
    """What ``before`` does to uint8 images, done to pixels 0..1 so that it can be differentiated."""
    x = pixels_NCHW
    if before.size is not None and tuple(x.shape[2:]) != before.size:
        smaller = before.size[0] < x.shape[2] or before.size[1] < x.shape[3]
        x = F.interpolate(x, size=before.size, mode="bilinear", align_corners=False, antialias=smaller)
    if x.shape[1] == 1 and before.channels == 3:
        x = x.expand(-1, 3, -1, -1)
    mean, std = (x.new_tensor(values).view(1, -1, 1, 1) for values in (before.mean, before.std))
    return (x - mean) / std
