"""What the rest of the project knows of a data set: uint8 images, labels, names, disjoint splits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Split:
    """images uint8 [N,H,W,C] (possibly memory-mapped, read-only), labels int64 [N]."""

    images_NHWC: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set in three disjoint splits; ``fingerprint`` is a sha256 of what decides its content."""

    name: str
    train: Split
    validation: Split
    test: Split
    labels: tuple[str, ...]
    fingerprint: str
    warnings: tuple[str, ...] = ()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        h, w, c = self.train.images_NHWC.shape[1:]
        return int(h), int(w), int(c)
