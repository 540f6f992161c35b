"""What the rest of the project knows of a data set: uint8 images, labels, names, disjoint splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgedistill.data import sound
from edgedistill.data.augment import augment


@dataclass(frozen=True, eq=False)
class Split:
    """images uint8 [N,H,W,C] (possibly memory-mapped, read-only), labels int64 [N], -1: none.

    Of sound, the images are the front end's features [N,49,40,1], and ``waveforms`` int16 [N,16000] is
    what they were computed from; ``noise`` are the rows that hold background noise alone.
    """

    images_NHWC: NDArray[np.uint8]
    labels: NDArray[np.int64]
    waveforms: NDArray[np.int16] | None = None
    noise: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def unlabelled(self) -> int:
        """How many examples have no label."""
        return int((self.labels < 0).sum())

    def rows(self, rows: NDArray[np.int64]) -> Split:
        """Some examples, read into memory."""
        return Split(
            np.asarray(self.images_NHWC[rows]),
            self.labels[rows],
            None if self.waveforms is None else np.asarray(self.waveforms[rows]),
            None if self.noise is None else np.flatnonzero(np.isin(rows, self.noise)),
        )

    def augmented(
        self, rows: slice | NDArray[np.int64], names: Sequence[str], rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        """Random variations of some images; of sound, features of the varied sound.

        Raises:
            UnknownNameError: an augmentation that these data don't have.
        """
        images = np.asarray(self.images_NHWC[rows])
        if self.waveforms is None:
            return augment(images, names, rng)
        noise = None
        if self.noise is not None and len(self.noise):
            noise = np.asarray(self.waveforms[rng.choice(self.noise, size=len(images))])
        return sound.augment(np.asarray(self.waveforms[rows]), images, noise, names, rng)


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
    task: str = "image-classification"  # a row of tasks.TASKS

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        h, w, c = self.train.images_NHWC.shape[1:]
        return int(h), int(w), int(c)
