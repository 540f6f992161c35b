"""Puts training images into the report: a strip of each class as a PNG inside the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COLUMNS = 20  # images of a class
MAX_CLASSES = 20  # the page stays small
_GAP = 2  # pixels between images


@dataclass(frozen=True)
class Strip:
    """A few images of one class; ``uri`` is a data URI."""

    label: str
    uri: str
    images: int


def strips(
    images_NHWC: NDArray[np.uint8], labels: NDArray[np.int64], names: tuple[str, ...]
) -> tuple[Strip, ...]:
    """The first images of each class, classes without any left out."""
    made = []
    for number, name in enumerate(names[:MAX_CLASSES]):
        rows = np.flatnonzero(labels == number)[:COLUMNS]
        if len(rows):
            made.append(Strip(name, _uri(np.asarray(images_NHWC[rows])), len(rows)))
    return tuple(made)


def _uri(images_NHWC: NDArray[np.uint8]) -> str:
    """Side by side on white, always ``COLUMNS`` wide, so that all strips have one scale."""
    from PIL import Image

    _, height, width, channels = images_NHWC.shape
    sheet = np.full((height, COLUMNS * (width + _GAP) - _GAP, channels), 255, dtype=np.uint8)
    for i, image_HWC in enumerate(images_NHWC):
        sheet[:, i * (width + _GAP) : i * (width + _GAP) + width] = image_HWC
    buffer = io.BytesIO()
    Image.fromarray(sheet[..., 0] if channels == 1 else sheet).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
