"""Reads what a Python callable returns: a torch Dataset, or a pair of arrays (images, labels)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from edgedistill.data import callables
from edgedistill.data.source import Source, array_pool, arrays_identity, to_labels, to_pixels
from edgedistill.errors import DataError


def read(spec: str) -> Source:
    """Calls ``spec`` without arguments.

    Items of a Dataset are (image, label), the image an array, a tensor or a PIL image.
    """
    made = callables.find(spec, DataError, where=f"data source {spec}")
    try:
        result = made()
    except Exception as cause:  # the user's own code runs here: whatever it raises is told as its fault
        raise DataError(
            f"calling it failed: {type(cause).__name__}: {cause}",
            where=spec,
            fix="it is called without arguments",
        ) from cause
    names: object = getattr(result, "classes", None)
    if isinstance(result, tuple) and len(result) == 2:
        images, labels = np.asarray(result[0]), np.asarray(result[1])
    elif hasattr(result, "__getitem__") and hasattr(result, "__len__"):
        images, labels = _dataset(cast("Sequence[object]", result), spec)
    else:
        raise DataError(
            f"it returned a {type(result).__name__}",
            where=spec,
            fix="return (images, labels) as arrays, or a torch Dataset with __len__ and __getitem__",
        )
    pixels_NHWC = to_pixels(images, f"{spec}, images")
    numbers = to_labels(labels, len(pixels_NHWC), f"{spec}, labels")
    if isinstance(names, Sequence) and not isinstance(names, str):
        class_names = tuple(str(name) for name in names)
    else:
        class_names = tuple(str(index) for index in range(int(numbers.max(initial=-1)) + 1))
    return Source(
        name=spec.rpartition(":")[2],
        train=array_pool(pixels_NHWC, numbers, spec.rpartition(":")[2]),
        labels=class_names,
        identity=arrays_identity(pixels_NHWC, numbers),
    )


def _dataset(dataset: Sequence[object], spec: str) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    images: list[NDArray[np.generic]] = []
    labels: list[object] = []
    for index in range(len(dataset)):
        try:
            item = dataset[index]
        except Exception as cause:  # the user's own code runs here
            raise DataError(
                f"item {index} failed: {type(cause).__name__}: {cause}", where=spec, fix="repair the Dataset"
            ) from cause
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise DataError(
                f"item {index} is a {type(item).__name__}",
                where=spec,
                fix="return (image, label) from __getitem__",
            )
        image = np.asarray(item[0])
        images.append(image[0] if image.ndim == 3 and image.shape[0] == 1 else image)
        labels.append(item[1])
        if images[-1].shape != images[0].shape:
            raise DataError(
                f"item {index} has shape {list(images[-1].shape)}, item 0 {list(images[0].shape)}",
                where=spec,
                fix="resize the images to one size in the Dataset",
            )
    stacked = np.stack(images) if images else np.zeros((0, 1, 1, 1), dtype=np.uint8)
    return stacked, np.asarray(labels)
