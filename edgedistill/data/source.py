"""What a reader hands over: pools of still encoded examples, their labels, and the names of the classes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import DataError

Payload = Path | bytes | NDArray[np.uint8]  # a file, an encoded image, or pixels [H,W,C]
Item = tuple[str, Payload]  # (how to name it to a person, content)


@dataclass(frozen=True, eq=False)
class Pool:
    """Examples that belong together. ``items()`` may be walked more than once, in the order of ``labels``."""

    labels: NDArray[np.int64]  # [N]
    items: Callable[[], Iterator[Item]]
    groups: tuple[str, ...] = ()  # [N] or none: what must stay on one side of a split, such as a speaker

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Source:
    """One data set as found. ``identity`` changes when its content may have changed (it keys the cache)."""

    name: str
    train: Pool
    labels: tuple[str, ...]
    identity: str
    validation: Pool | None = None
    test: Pool | None = None
    warnings: tuple[str, ...] = field(default=())
    sound: bool = False  # clips, not images


def no_labels(count: int) -> NDArray[np.int64]:
    """-1 for each of ``count`` examples whose class is not known."""
    return np.full(count, -1, dtype=np.int64)


def array_pool(images_NHWC: NDArray[np.uint8], labels: NDArray[np.int64], name: str) -> Pool:
    """A pool over pixels that are already in memory."""

    def items() -> Iterator[Item]:
        for index, image_HWC in enumerate(images_NHWC):
            yield f"{name}[{index}]", image_HWC

    return Pool(labels=labels, items=items)


def files_identity(paths: list[Path]) -> str:
    """sha256 over absolute paths, sizes and modification times."""
    digest = hashlib.sha256()
    for path in paths:
        stat = path.stat()
        digest.update(
            f"{path.absolute()}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode(errors="surrogateescape")
        )
    return digest.hexdigest()


def arrays_identity(*arrays: NDArray[np.uint8] | NDArray[np.int64]) -> str:
    """sha256 over shapes and contents."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def to_pixels(images: NDArray[np.generic], where: str) -> NDArray[np.uint8]:
    """Brings an array of images to uint8 [N,H,W,C].

    Accepts [N,H,W], [N,H,W,C] and [N,C,H,W] with C 1 or 3; integers in 0..255, or floats in 0..1 or 0..255.

    Raises:
        DataError: another shape or type, NaN, infinity, or values out of range.
    """
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim == 4 and images.shape[3] not in (1, 3) and images.shape[1] in (1, 3):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise DataError(
            f"images have shape {list(images.shape)}",
            where=where,
            fix="give [N,H,W], [N,H,W,C] or [N,C,H,W] with 1 or 3 channels",
        )
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images)
    if images.dtype.kind not in "iufb":
        raise DataError(f"images are of type {images.dtype}", where=where, fix="store uint8 values 0..255")
    if images.dtype.kind == "b":
        return np.ascontiguousarray(images.astype(np.uint8) * np.uint8(255))
    if images.size == 0:
        return np.ascontiguousarray(images.astype(np.uint8))
    values: NDArray[np.float64] = images.astype(np.float64)
    if images.dtype.kind == "f" and not np.isfinite(values).all():
        bad = int((~np.isfinite(values.reshape(len(values), -1)).all(axis=1)).sum())
        raise DataError(
            f"{bad} of {len(values)} images hold NaN or infinity",
            where=where,
            fix="remove these images or repair their values, and store uint8 values 0..255",
        )
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 255:
        raise DataError(
            f"pixel values run from {low:g} to {high:g}",
            where=where,
            fix="store pixels as 0..255 (or floats 0..1), before any normalisation",
        )
    scale = 255.0 if images.dtype.kind == "f" and high <= 1.0 else 1.0
    return np.ascontiguousarray(np.rint(values * scale).astype(np.uint8))


def to_labels(labels: NDArray[np.generic], count: int, where: str) -> NDArray[np.int64]:
    """Brings an array of class numbers to int64 [N] (one-hot rows are allowed).

    Raises:
        DataError: a count unlike the images', fractions, NaN, or negative numbers.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2:
        numbers = labels.astype(np.float64)
        if not ((numbers == 0) | (numbers == 1)).all() or not (numbers.sum(axis=1) == 1).all():
            raise DataError(
                f"labels have shape {list(labels.shape)} and are not one-hot",
                where=where,
                fix="give one class number 0..K-1 for each image",
            )
        labels = numbers.argmax(axis=1)
    if labels.shape != (count,):
        raise DataError(
            f"{count} images but labels of shape {list(labels.shape)}",
            where=where,
            fix="give one class number for each image",
        )
    if labels.dtype.kind not in "iuf" or (
        labels.dtype.kind == "f" and not np.isfinite(labels.astype(float)).all()
    ):
        raise DataError(
            f"labels of type {labels.dtype} hold something that is no class number",
            where=where,
            fix="give integers 0..K-1",
        )
    whole = labels.astype(np.int64)
    if (whole != labels).any() or (whole < 0).any():
        wrong = labels[(whole != labels) | (whole < 0)]
        raise DataError(
            f"labels out of range: {wrong[0]} ({len(wrong)} of {count} are no class number 0..K-1)",
            where=where,
            fix="give integers 0..K-1; unlabelled examples (-1) have to be left out",
        )
    return whole
