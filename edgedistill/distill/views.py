"""Augmented views of the training images with the teacher's answers, computed once and kept.

A teacher's forward pass costs several times a small student's training step. So K augmented
views of every image are drawn once, shown to the teacher, and stored with its logits; each
epoch then only gathers. Both files are memory-mapped; a broken-off computation goes on
where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.data.types import Split
from edgedistill.mapped import new_array
from edgedistill.reporter import Reporter

Logits = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
_CHUNK = 500


@dataclass(frozen=True, eq=False)
class Views:
    """images uint8 [K, N, H, W, C] and the teacher's logits float32 [K, N, classes]."""

    images: NDArray[np.uint8]
    logits: NDArray[np.float32]

    def batch(
        self, epoch: int, indices: NDArray[np.int64], seed: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """The view of each image that belongs to ``epoch``: every image meets its K views in turn."""
        offsets: NDArray[np.int64] = np.random.default_rng((seed, 0x51EE)).integers(
            len(self.images), size=(self.images.shape[1],)
        )
        view = (offsets[indices] + epoch) % len(self.images)
        return self.images[view, indices], self.logits[view, indices]


def compute(
    folder: Path,
    split: Split,
    logits: Logits,
    classes: int,
    count: int,
    augmentations: Sequence[str],
    seed: int,
    reporter: Reporter,
) -> Views:
    """Fills ``folder`` with ``count`` views and returns them, resuming what is there.

    Args:
        folder: a scratch folder of this very data set, teacher, augmentation and seed.
    """
    n = len(split)
    done_file = folder / "done.json"
    whole = all((folder / name).exists() for name in ("images.npy", "logits.npy", "done.json"))
    done = int(json.loads(done_file.read_text())["chunks"]) if whole else 0
    shapes = {"images": (count, *split.images_NHWC.shape), "logits": (count, n, classes)}
    if done:
        images, answers = (np.load(folder / f"{name}.npy", mmap_mode="r+") for name in shapes)
    else:
        images = new_array(folder / "images.npy", np.uint8, shapes["images"])
        answers = new_array(folder / "logits.npy", np.float32, shapes["logits"])
    starts = [(view, start) for view in range(count) for start in range(0, n, _CHUNK)]
    for i, (view, start) in enumerate(starts):
        if i < done:
            continue
        part = slice(start, min(start + _CHUNK, n))
        rng = np.random.default_rng((seed, view, start))
        images[view, part] = split.augmented(part, augmentations, rng)
        answers[view, part] = logits(np.asarray(images[view, part]))
        if i % 20 == 19 or i + 1 == len(starts):
            images.flush()
            answers.flush()
            done_file.write_text(json.dumps({"chunks": i + 1}))
        reporter.progress(i + 1, len(starts), {"views": f"{view + 1}/{count}"})
    return Views(images, answers)


def load(folder: Path) -> Views:
    """A finished cache, memory-mapped and read-only."""
    return Views(np.load(folder / "images.npy", mmap_mode="r"), np.load(folder / "logits.npy", mmap_mode="r"))
