"""Reads a NumPy archive: x (or images) and y (or labels), and x_test and y_test if there are any."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.data.source import Pool, Source, array_pool, files_identity, no_labels, to_labels, to_pixels
from edgedistill.errors import DataError

IMAGES = ("x", "images", "x_train", "train_images")
LABELS = ("y", "labels", "y_train", "train_labels")
TEST_IMAGES = ("x_test", "test_images", "images_test")
TEST_LABELS = ("y_test", "test_labels", "labels_test")
NAMES = ("names", "class_names", "label_names")
_MAX_BYTES = 16 * 2**30  # unpacked; an archive says so before anything is read


def read(path: Path, *, trust: bool = False) -> Source:
    """``trust`` allows pickled (object) arrays, which can run code."""
    arrays, found = _arrays(path, trust)
    train = _pool(arrays, IMAGES, LABELS, path, found)
    test = None
    if any(key in arrays for key in TEST_IMAGES):
        test = _pool(arrays, TEST_IMAGES, TEST_LABELS, path, found)
    names_key = next((key for key in NAMES if key in arrays), None)
    if names_key is not None:
        names = tuple(str(name) for name in arrays[names_key])
    else:
        highest = max((int(p.labels.max()) for p in (train, test) if p is not None and len(p)), default=-1)
        names = tuple(str(index) for index in range(highest + 1))
    return Source(name=path.stem, train=train, test=test, labels=names, identity=files_identity([path]))


def unlabelled(path: Path, *, trust: bool = False) -> Pool:
    """The training images alone; labels are not looked for. ``trust`` as in ``read``."""
    arrays, found = _arrays(path, trust)
    x = _key(arrays, IMAGES, path, found)
    pixels_NHWC = to_pixels(arrays[x], f"{path}, array {x!r}")
    return array_pool(pixels_NHWC, no_labels(len(pixels_NHWC)), x)


def _arrays(path: Path, trust: bool) -> tuple[dict[str, NDArray[np.generic]], str]:
    """The arrays that have a meaning here, by their names, and the names of all."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked_bytes = sum(info.file_size for info in archive.infolist())
    except (zipfile.BadZipFile, OSError) as cause:
        raise DataError(
            "not a NumPy archive (.npz)", where=str(path), fix="write it with numpy.savez"
        ) from cause
    if unpacked_bytes > _MAX_BYTES:
        raise DataError(
            f"it unpacks to {unpacked_bytes / 2**30:.1f} GiB, more than {_MAX_BYTES / 2**30:.0f} GiB",
            where=str(path),
            fix="store the images as parquet or as a folder of class folders",
        )
    with np.load(path, allow_pickle=trust) as archive_arrays:
        arrays = {key: _array(archive_arrays, key, path) for key in archive_arrays.files if _wanted(key)}
        return arrays, ", ".join(archive_arrays.files) or "none"


def _wanted(key: str) -> bool:
    return key in (*IMAGES, *LABELS, *TEST_IMAGES, *TEST_LABELS, *NAMES)


def _array(archive: np.lib.npyio.NpzFile, key: str, path: Path) -> NDArray[np.generic]:
    try:
        return np.asarray(archive[key])
    except ValueError as cause:
        if "pickle" in str(cause).lower():
            raise DataError(
                f"array {key!r} holds pickled Python objects, which can run code",
                where=str(path),
                fix="store a plain array of one shape, or pass --trust if you trust the file's author",
            ) from cause
        raise DataError(
            f"array {key!r} cannot be read: {cause}", where=str(path), fix="write it again"
        ) from cause
    except (zipfile.BadZipFile, OSError, EOFError) as cause:
        raise DataError(
            f"array {key!r} is damaged: {cause}", where=str(path), fix="write it again"
        ) from cause


def _pool(
    arrays: dict[str, NDArray[np.generic]],
    images: tuple[str, ...],
    labels: tuple[str, ...],
    path: Path,
    found: str,
) -> Pool:
    x, y = _key(arrays, images, path, found), _key(arrays, labels, path, found)
    pixels_NHWC = to_pixels(arrays[x], f"{path}, array {x!r}")
    return array_pool(pixels_NHWC, to_labels(arrays[y], len(pixels_NHWC), f"{path}, array {y!r}"), x)


def _key(arrays: dict[str, NDArray[np.generic]], known: tuple[str, ...], path: Path, found: str) -> str:
    """The first of the names by which an array goes."""
    key = next((key for key in known if key in arrays), None)
    if key is None:
        raise DataError(
            f"no array {known[0]!r} in the archive (it holds: {found})",
            where=str(path),
            fix=f"name it {' or '.join(known)}",
        )
    return key
