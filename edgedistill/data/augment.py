"""Random variations of training images, on whole uint8 batches at once."""

# Shapes: batch [N,H,W,C], uint8. Every function returns a new array of the same shape.

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import UnknownNameError

Batch = NDArray[np.uint8]
Augmentation = Callable[[Batch, np.random.Generator], Batch]


def augment(batch: Batch, names: Iterable[str], rng: np.random.Generator) -> Batch:
    """Applies the named augmentations in the given order.

    Raises:
        UnknownNameError: a name that is not in AUGMENTATIONS.
    """
    steps = []
    for name in names:
        if name not in AUGMENTATIONS:
            raise UnknownNameError("augmentation", name, AUGMENTATIONS, where="data.augment")
        steps.append(AUGMENTATIONS[name])
    for step in steps:
        batch = step(batch, rng)
    return batch


def pad_crop(batch: Batch, rng: np.random.Generator) -> Batch:
    """Moves by up to an eighth of the side, the border mirrored (He et al. 2015, section 4.2: 4 of 32)."""
    rows, cols = _moved(batch, rng)
    return _gather(batch, _mirror(rows, batch.shape[1]), _mirror(cols, batch.shape[2]))


def translate(batch: Batch, rng: np.random.Generator) -> Batch:
    """Moves by up to an eighth of the side, the border pixels repeated; nothing wraps around."""
    rows, cols = _moved(batch, rng)
    return _gather(batch, rows.clip(0, batch.shape[1] - 1), cols.clip(0, batch.shape[2] - 1))


def flip(batch: Batch, rng: np.random.Generator) -> Batch:
    """Mirrors left and right with probability 1/2; wrong for digits and letters."""
    chosen = rng.random(len(batch)) < 0.5
    return np.where(chosen[:, None, None, None], batch[:, :, ::-1], batch)


def cutout(batch: Batch, rng: np.random.Generator) -> Batch:
    """Greys a square of half the side around a random pixel (DeVries & Taylor 2017: 16 of 32)."""
    count, height, width, _ = batch.shape
    rows = np.abs(np.arange(height)[None] - rng.integers(height, size=(count, 1))) * 4 < height  # [N,H]
    cols = np.abs(np.arange(width)[None] - rng.integers(width, size=(count, 1))) * 4 < width  # [N,W]
    hole = rows[:, :, None] & cols[:, None, :]
    return np.where(hole[..., None], np.uint8(128), batch)


def brightness_contrast(batch: Batch, rng: np.random.Generator) -> Batch:
    """Contrast times 0.8 to 1.2 around mid-grey, brightness plus -25 to 25."""
    contrast = rng.uniform(0.8, 1.2, size=(len(batch), 1)).astype(np.float32)
    brightness = rng.uniform(-25, 25, size=(len(batch), 1)).astype(np.float32)
    levels = np.arange(256, dtype=np.float32)[None]  # [1,256]
    table = np.rint((levels - 128) * contrast + 128 + brightness).clip(0, 255).astype(np.uint8)  # [N,256]
    return np.take_along_axis(table, batch.reshape(len(batch), -1).astype(np.intp), axis=1).reshape(
        batch.shape
    )


def rotate_small(batch: Batch, rng: np.random.Generator) -> Batch:
    """Turns by up to 10 degrees about the centre, bilinear, the border pixels repeated."""
    count, height, width, _ = batch.shape
    angle = np.deg2rad(rng.uniform(-10, 10, size=(count, 1, 1))).astype(np.float32)
    y = np.arange(height, dtype=np.float32)[None, :, None] - np.float32((height - 1) / 2)
    x = np.arange(width, dtype=np.float32)[None, None, :] - np.float32((width - 1) / 2)
    source_y = (np.cos(angle) * y - np.sin(angle) * x + (height - 1) / 2).clip(0, height - 1)  # [N,H,W]
    source_x = (np.sin(angle) * y + np.cos(angle) * x + (width - 1) / 2).clip(0, width - 1)
    top, left = source_y.astype(np.intp), source_x.astype(np.intp)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    part_y, part_x = (source_y - top)[..., None], (source_x - left)[..., None]
    n = np.arange(count)[:, None, None]
    upper = batch[n, top, left] * (1 - part_x) + batch[n, top, right] * part_x
    lower = batch[n, bottom, left] * (1 - part_x) + batch[n, bottom, right] * part_x
    turned: Batch = np.rint(upper * (1 - part_y) + lower * part_y).clip(0, 255).astype(np.uint8)
    return turned


def spec_augment(batch: Batch, rng: np.random.Generator) -> Batch:
    """Of log-mel features: two stripes of time and two of frequency become the clip's mean.

    Each stripe is up to a sixth of its axis wide (Park et al. 2019, section 2, without warping).
    """
    count, frames, bands, _ = batch.shape
    hidden = np.zeros((count, frames, bands), dtype=bool)
    for _ in range(2):
        hidden |= _stripe(count, frames, rng)[:, :, None] | _stripe(count, bands, rng)[:, None, :]
    mean = np.rint(batch.mean(axis=(1, 2), keepdims=True)).astype(np.uint8)
    return np.where(hidden[..., None], mean, batch)


def _stripe(count: int, size: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    width = rng.integers(size // 6 + 1, size=(count, 1))
    start = rng.integers(size, size=(count, 1)) * (size - width + 1) // size
    index = np.arange(size)[None]
    return (index >= start) & (index < start + width)


def _moved(batch: Batch, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Source rows [N,H] and columns [N,W] of a random move; they may lie outside."""
    count, height, width, _ = batch.shape
    reach_y, reach_x = max(1, height // 8), max(1, width // 8)
    down = rng.integers(-reach_y, reach_y + 1, size=(count, 1))
    across = rng.integers(-reach_x, reach_x + 1, size=(count, 1))
    return (np.arange(height)[None] + down).astype(np.intp), (np.arange(width)[None] + across).astype(np.intp)


def _mirror(index: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    mirrored: NDArray[np.intp] = (size - 1 - np.abs(size - 1 - np.abs(index))).clip(0, size - 1)
    return mirrored


def _gather(batch: Batch, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Batch:
    n = np.arange(len(batch))[:, None, None]
    return batch[n, rows[:, :, None], cols[:, None, :]]


AUGMENTATIONS: Mapping[str, Augmentation] = {
    "pad-crop": pad_crop,
    "flip": flip,
    "cutout": cutout,
    "translate": translate,
    "brightness-contrast": brightness_contrast,
    "rotate-small": rotate_small,
    "spec-augment": spec_augment,
}
