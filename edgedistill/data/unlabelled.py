"""Adds images without labels to a data set: for losses that ask the teacher alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from edgedistill.data import cache, checks, decode, npz, parquet
from edgedistill.data.decode import Geometry, Progress
from edgedistill.data.folder import SUFFIXES
from edgedistill.data.source import Item, Pool, files_identity, no_labels
from edgedistill.data.types import ImageData, Split
from edgedistill.errors import DataError
from edgedistill.recipe import DataSection

_KINDS = "a folder of images, image parquet, or a .npz with images; labels are not looked for"


@dataclass(frozen=True, eq=False)
class _Found:
    pool: Pool
    identity: str


def joined(
    data: ImageData,
    section: DataSection,
    folder: Path,
    *,
    trust: bool = False,
    progress: Progress | None = None,
) -> ImageData:
    """The data set with the images of ``section.unlabelled`` behind its training examples, labelled -1.

    An image that the data set holds already, in whatever split, is left out: it would be trained on
    although it is held out, or twice.

    Args:
        folder: where decoded data sets are kept; the longer one gets a folder there.
        trust: allow pickled arrays in .npz files.
        progress: called with (images done, images in all).

    Raises:
        DataError: no such images, too many broken ones, or a data set of sound.
    """
    spec = section.unlabelled
    assert spec is not None
    if data.train.waveforms is not None:
        raise DataError("unlabelled clips cannot be used, only images", where=spec, fix="leave it out")
    found = _find(spec, trust)
    told = json.dumps([cache.FORMAT, data.fingerprint, found.identity, section.max_broken_share])
    place = folder / f"unlabelled-{hashlib.sha256(told.encode()).hexdigest()[:32]}"
    kept = _load(data, place)
    if kept is None:
        _make(data, section, found.pool, place, progress)
        kept = _load(data, place)
    assert kept is not None
    return kept


def _find(spec: str, trust: bool) -> _Found:
    path = Path(spec).expanduser()
    suffix = path.suffix.lower()
    if path.is_file() and suffix == ".npz":
        return _Found(npz.unlabelled(path, trust=trust), files_identity([path]))
    if (path.is_file() and suffix == ".parquet") or (path.is_dir() and parquet.files_in(path)):
        pool, files = parquet.unlabelled(path)
        return _Found(pool, files_identity(files))
    if not path.is_dir():
        raise DataError(
            "this is no source of images" if path.exists() else "no such file or folder",
            where=f"data.unlabelled = {spec}",
            fix=f"give {_KINDS}",
        )
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))

    def items() -> Iterator[Item]:
        for file in files:
            yield str(file.relative_to(path)), file

    return _Found(Pool(no_labels(len(files)), items), files_identity(files))


def _make(data: ImageData, section: DataSection, pool: Pool, place: Path, progress: Progress | None) -> None:
    where, before = f"data.unlabelled = {section.unlabelled}", len(data.train)
    if not len(pool):
        raise DataError("there are no images", where=where, fix=f"give {_KINDS}")
    height, width, channels = data.image_shape
    with cache.writing(place) as temporary:
        images: NDArray[np.uint8] = cache.blank(
            temporary / "train.npy", (before + len(pool), height, width, channels)
        )
        images[:before] = data.train.images_NHWC
        rows = {i: (images, before + i) for i in range(len(pool))}
        broken = decode.decode(pool, rows, Geometry(height, width, channels), progress)
        checks.check_broken(list(broken.values()), len(pool), section, where)
        splits = (data.train, data.validation, data.test)
        first: dict[bytes, int] = {_digest(image): -1 for split in splits for image in split.images_NHWC}
        whole = [before + i for i in range(len(pool)) if i not in broken]
        new = [row for row in whole if first.setdefault(_digest(images[row]), row) == row]
        if not new:
            raise DataError("every image is in the data set already", where=where, fix="give others")
        digest = hashlib.sha256(data.fingerprint.encode() + b"".join(_digest(images[row]) for row in new))
        del images, rows  # which writes what is mapped
        cache.keep_rows(temporary / "train.npy", np.array([*range(before), *new]))
        left_out = {
            f"{len(whole) - len(new)} unlabelled images are in the data set already": len(whole) - len(new),
            checks.broken_text(list(broken.values()), len(pool)): len(broken),
        }
        card = cache.Card(
            name=data.name,
            labels=data.labels,
            fingerprint=digest.hexdigest(),
            warnings=tuple(f"{text}: they were left out" for text, count in left_out.items() if count),
        )
        (temporary / "card.json").write_text(card.model_dump_json(indent=1), "utf-8")


def _load(data: ImageData, place: Path) -> ImageData | None:
    """None where nothing is kept, or it is damaged."""
    try:
        card = cache.Card.model_validate_json((place / "card.json").read_text("utf-8"))
        images = np.load(place / "train.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, ValidationError):
        return None
    labels = np.concatenate([data.train.labels, no_labels(len(images) - len(data.train))])
    warnings = (*data.warnings, *card.warnings)
    return replace(data, train=Split(images, labels), fingerprint=card.fingerprint, warnings=warnings)


def _digest(image_HWC: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image_HWC).data, digest_size=16).digest()
