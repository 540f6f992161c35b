"""Puts uint8 images into the form a teacher was trained on: size, channels, normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import TeacherError

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # torchvision's and timm's constants, on x/255
NAMES = ("auto", "imagenet", "half", "unit")

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Preprocess:
    """uint8 [N,H,W,C] -> float32 [N,channels,h,w], ``(x / 255 - mean) / std``."""

    channels: int
    size: tuple[int, int] | None  # None: as the images are
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        x_NCHW = images_NHWC.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
        if self.size is not None and x_NCHW.shape[2:] != self.size:
            x_NCHW = _resized(x_NCHW, self.size)
        if x_NCHW.shape[1] == 1 and self.channels == 3:
            x_NCHW = np.repeat(x_NCHW, 3, axis=1)
        mean = np.array(self.mean, dtype=np.float32)[None, :, None, None]
        std = np.array(self.std, dtype=np.float32)[None, :, None, None]
        return np.ascontiguousarray((x_NCHW - mean) / std)


def parse(
    text: str, channels: int, own: tuple[tuple[float, ...], tuple[float, ...]] | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, std), one value a channel, of a normalisation's name or of "m,m,m/s,s,s".

    Args:
        text: teacher.normalisation of the recipe.
        channels: 1 or 3, as the teacher gets them.
        own: what the teacher says of itself; "auto" takes it.

    Raises:
        TeacherError: an unknown name, or numbers that cannot be meant.
    """
    if text == "auto":
        if own is not None and len(own[0]) == channels:
            return own
        text = "imagenet" if channels == 3 else "half"
    if text == "imagenet" and channels == 3:
        return IMAGENET
    if text == "half":
        return (0.5,) * channels, (0.5,) * channels
    if text == "unit":
        return (0.0,) * channels, (1.0,) * channels
    if text == "imagenet":
        raise TeacherError(
            f"normalisation 'imagenet' has 3 channels, the teacher takes {channels}",
            where="teacher.normalisation",
            fix="use half, unit or MEAN/STD",
        )
    mean_text, _, std_text = text.partition("/")
    try:
        mean = tuple(float(part) for part in mean_text.split(","))
        std = tuple(float(part) for part in std_text.split(","))
    except ValueError:
        raise TeacherError(
            f"{text!r} is no normalisation",
            where="teacher.normalisation",
            fix=f"use {', '.join(NAMES)}, or mean/std on x/255 such as 0.49,0.48,0.45/0.25,0.24,0.26",
        ) from None
    mean, std = (mean * channels if len(mean) == 1 else mean), (std * channels if len(std) == 1 else std)
    if len(mean) != channels or len(std) != channels:
        raise TeacherError(
            f"normalisation {text!r} has {len(mean)} means and {len(std)} deviations "
            f"for {channels} channel(s)",
            where="teacher.normalisation",
            fix=f"give {channels} of each, as m,.../s,...",
        )
    if not all(np.isfinite(mean)) or not all(np.isfinite(s) and s > 0 for s in std):
        raise TeacherError(
            f"normalisation {text!r} has a deviation that is not above 0, or a value that is no number",
            where="teacher.normalisation",
            fix="deviations are positive shares of the range 0..1",
        )
    return mean, std


def _resized(x_NCHW: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    import torch
    import torch.nn.functional as F

    tensor = torch.from_numpy(np.ascontiguousarray(x_NCHW))
    smaller = size[0] < x_NCHW.shape[2] or size[1] < x_NCHW.shape[3]
    out = F.interpolate(tensor, size=size, mode="bilinear", align_corners=False, antialias=smaller)
    resized: NDArray[np.float32] = out.numpy()
    return resized


def differentiable(before: Preprocess, pixels_NCHW: Tensor) -> Tensor:
    """What ``before`` does to uint8 images, done to pixels 0..1 so that gradients flow through it."""
    import torch.nn.functional as F

    x = pixels_NCHW
    if before.size is not None and tuple(x.shape[2:]) != before.size:
        smaller = before.size[0] < x.shape[2] or before.size[1] < x.shape[3]
        x = F.interpolate(x, size=before.size, mode="bilinear", align_corners=False, antialias=smaller)
    if x.shape[1] == 1 and before.channels == 3:
        x = x.expand(-1, 3, -1, -1)
    mean, std = (x.new_tensor(values).view(1, -1, 1, 1) for values in (before.mean, before.std))
    return (x - mean) / std
