"""Counts right answers of a runtime on test images, and which class is taken for which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

REAL_STEP = 64.0  # a float32 file takes real = (pixel - 128) / 64, the int8 file q = pixel - 128


def to_int8(images_NHWC: NDArray[np.uint8]) -> NDArray[np.int8]:
    """``q = pixel - 128``: no value is lost."""
    return (images_NHWC.astype(np.int16) - 128).astype(np.int8)


def to_real(images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    """``(pixel - 128) / 64``, which float32 holds exactly."""
    return np.asarray((images_NHWC.astype(np.float32) - 128) / REAL_STEP, np.float32)


def paired(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[float, float]:
    """How much larger a share of right answers ``first`` has on the same examples, and its standard error.

    Only examples on which the two differ count (McNemar 1947): with b of n right in the first alone and c in
    the second alone, the difference is (b - c) / n and its variance (b + c - (b - c)^2 / n) / n^2.
    """
    assert first.shape == second.shape and first.size > 0, "answers to the same examples"
    n, b, c = first.size, int((first & ~second).sum()), int((second & ~first).sum())
    return (b - c) / n, float(np.sqrt(b + c - (b - c) ** 2 / n)) / n


def top1(
    run: Callable[[NDArray[Any]], NDArray[Any]],
    images_NHWC: NDArray[np.uint8],
    labels: NDArray[np.int64],
    batch: int = 250,
    *,
    prepare: Callable[[NDArray[np.uint8]], NDArray[Any]] = to_int8,
) -> tuple[float, tuple[tuple[int, ...], ...]]:
    """Share of right top answers, and the confusion matrix [true class][answer] of counts.

    Args:
        run: inputs [N, H, W, C] to scores [N, classes]; the first of equal scores wins.
        images_NHWC: uint8 images.
        labels: true classes [N].
        batch: images per call.
        prepare: pixels to the model's input.
    """
    assert len(images_NHWC) == len(labels) and len(labels) > 0, "images and labels of equal, non-zero number"
    pieces = [
        run(prepare(np.asarray(images_NHWC[start : start + batch]))) for start in range(0, len(labels), batch)
    ]
    return counted(np.concatenate(pieces), labels)


def counted(scores: NDArray[Any], labels: NDArray[np.int64]) -> tuple[float, tuple[tuple[int, ...], ...]]:
    """As ``top1``, of scores [N, ..., classes] that are there already."""
    scores = scores.reshape(len(labels), -1)
    answer = scores.argmax(axis=1)
    side = max(scores.shape[1], int(labels.max()) + 1)
    confusion = np.zeros((side, side), np.int64)
    np.add.at(confusion, (labels, answer), 1)
    return float((answer == labels).mean()), tuple(tuple(int(n) for n in row) for row in confusion)
