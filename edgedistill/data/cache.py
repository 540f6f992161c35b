"""Keeps decoded data sets on disk: arrays that are memory-mapped, written once and atomically."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from edgedistill import errors
from edgedistill.data.types import ImageData, Split
from edgedistill.mapped import new_array

FORMAT = 1  # raised when the stored layout or the decoding changes, so that older folders are not read
Map: TypeAlias = "np.memmap[Any, np.dtype[Any]]"
SPLITS = ("train", "validation", "test")


class Card(BaseModel):
    """card.json beside the arrays."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    labels: tuple[str, ...]
    fingerprint: str
    warnings: tuple[str, ...]
    task: str = "image-classification"


def load(folder: Path) -> ImageData | None:
    """The data set kept in ``folder``, memory-mapped; None where there is none or it is damaged."""
    try:
        card = Card.model_validate_json((folder / "card.json").read_text("utf-8"))
        train, validation, test = (
            Split(
                np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False),
                np.load(folder / f"{name}-labels.npy", allow_pickle=False),
                _optional(folder / f"{name}-waveforms.npy"),
                _optional(folder / f"{name}-noise.npy"),
            )
            for name in SPLITS
        )
    except (OSError, ValueError, EOFError, ValidationError):
        return None
    return ImageData(
        card.name, train, validation, test, card.labels, card.fingerprint, card.warnings, card.task
    )


def _optional(path: Path) -> NDArray[Any] | None:
    return np.load(path, mmap_mode="r", allow_pickle=False) if path.exists() else None


@contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``folder`` at the end; gone when something fails."""
    with errors.writing("the cache", folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
    try:
        with errors.writing("the cache", folder):
            yield temporary
            if folder.exists():  # damaged (load said so), or another process was faster with the same bytes
                shutil.rmtree(folder, ignore_errors=True)
            try:
                os.replace(temporary, folder)
            except OSError:
                if load(folder) is None:
                    raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def blank(path: Path, shape: tuple[int, ...], dtype: type[np.generic] = np.uint8) -> Map:
    """A new .npy file of zeros, mapped for writing."""
    return new_array(path, dtype, shape)


def keep_rows(path: Path, rows: NDArray[np.int64]) -> None:
    """Rewrites a .npy file with these rows only, a thousand at a time."""
    old = np.load(path, mmap_mode="r", allow_pickle=False)
    shorter = path.with_suffix(".shorter.npy")
    new = blank(shorter, (len(rows), *old.shape[1:]), old.dtype.type)
    for start in range(0, len(rows), 1000):
        new[start : start + 1000] = old[rows[start : start + 1000]]
    new.flush()
    del new, old
    os.replace(shorter, path)
