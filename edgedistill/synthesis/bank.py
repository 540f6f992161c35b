"""The memory bank: every image made so far as uint8, plain and varied, with the teacher's answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.data.augment import augment
from edgedistill.mapped import new_array

Answers = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # uint8 [N,H,W,C] -> logits [N,K]


@dataclass(frozen=True, eq=False)
class Bank:
    """images uint8 [V,N,H,W,C] and answers float32 [V,N,K], memory-mapped; view 0 is the image itself."""

    images: NDArray[np.uint8]
    answers: NDArray[np.float32]

    @staticmethod
    def open(folder: Path, views: int, count: int, shape: tuple[int, int, int], classes: int) -> Bank:
        """The bank kept in ``folder``, or an empty one."""
        shapes = {"images": (views, count, *shape), "answers": (views, count, classes)}
        paths = {name: folder / f"{name}.npy" for name in shapes}
        if all(path.exists() for path in paths.values()):
            kept = {name: np.load(path, mmap_mode="r+") for name, path in paths.items()}
            if all(kept[name].shape == shape for name, shape in shapes.items()):
                return Bank(**kept)
        return Bank(
            new_array(paths["images"], np.uint8, shapes["images"]),
            new_array(paths["answers"], np.float32, shapes["answers"]),
        )

    def put(
        self,
        start: int,
        images_NHWC: NDArray[np.uint8],
        answers: Answers,
        augmentations: Sequence[str],
        rng: np.random.Generator,
    ) -> None:
        """Writes a batch at row ``start``."""
        part = slice(start, start + len(images_NHWC))
        for view in range(len(self.images)):
            shown = augment(images_NHWC, augmentations, rng) if view else images_NHWC
            self.images[view, part] = shown
            self.answers[view, part] = answers(shown)

    def sample(
        self, rows: int, count: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """``count`` different ones of the first ``rows`` images, each in one of its views."""
        indices = np.sort(rng.choice(rows, size=count, replace=False))
        view = rng.integers(len(self.images), size=count)
        return self.images[view, indices], self.answers[view, indices]

    def flush(self) -> None:
        """On the disk, before a checkpoint says so."""
        for array in (self.images, self.answers):
            if isinstance(array, np.memmap):
                array.flush()
