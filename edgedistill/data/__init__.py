"""Data sets: found by their path, decoded once, divided into three disjoint splits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgedistill.data import (
    audio,
    callables,
    checks,
    decode,
    digits,
    folder,
    npz,
    parquet,
    prepare,
    prepare_sound,
    python,
    unlabelled,
)
from edgedistill.data.source import Source, arrays_identity
from edgedistill.data.types import ImageData, Split
from edgedistill.errors import DataError, UnknownNameError
from edgedistill.recipe import DataSection

__all__ = ["SOURCES", "ImageData", "SourceKind", "Split", "load", "load_test", "task_of", "test_source"]


@dataclass(frozen=True)
class SourceKind:
    """One kind of data source: how it is written, what it is, what else it needs."""

    spec: str
    purpose: str
    needs: str = ""


SOURCES: Mapping[str, SourceKind] = {
    "digits": SourceKind("digits", "built in: 1,797 grey images of 8x8 pixels, 10 classes"),
    "synthetic": SourceKind(
        "synthetic[:KEY=VALUE,...]", "no data: images are made from the teacher ([synthesis] of the recipe)"
    ),
    "folder": SourceKind(
        "FOLDER",
        "one folder per class with JPEG, PNG, WebP, BMP or GIF files; train/ val/ test/ above if there",
    ),
    "sound": SourceKind(
        "FOLDER",
        "one folder per class with 16-bit wav or FLAC clips of a second; split by speaker (data.group)",
        "edgedistill[audio] for FLAC",
    ),
    "parquet": SourceKind(
        "FILE.parquet or FOLDER", "image parquet as on the Hugging Face hub: train*.parquet, test*.parquet"
    ),
    "npz": SourceKind("FILE.npz", "NumPy arrays x and y, and x_test and y_test if there"),
    "python": SourceKind("module:callable", "a callable that returns (images, labels) or a torch Dataset"),
}


def load(
    section: DataSection,
    *,
    seed: int,
    cache: Path,
    trust: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ImageData:
    """The data set of a recipe, decoded into ``cache`` on first use and memory-mapped from there.

    A test split that the source lacks is drawn with a fixed seed, so that it is the same for every ``seed``;
    ``seed`` decides the validation split and which examples ``limit`` keeps.

    Args:
        section: source, shares, resolution, limit.
        seed: of the validation split.
        cache: a folder; the data set lands in ``cache/data/KEY``.
        trust: allow pickled arrays in .npz files.
        progress: called with (images done, images in all).

    Raises:
        DataError: a data set that cannot be used, with the reason.
    """
    source = _read(section.source, trust, section.group)
    if section.test is not None:
        source = _with_test(source, _read(section.test, trust, section.group), section.test)
    options = section.model_dump(
        exclude={"augment", "source", "test", "unlabelled", "licence"}, exclude_none=True
    )
    drawn = None if source.sound and section.limit is None else seed  # speakers are divided without a seed
    key_text = json.dumps([prepare.FORMAT, source.identity, source.labels, options, drawn], sort_keys=True)
    key = hashlib.sha256(key_text.encode()).hexdigest()[:32]
    prepared = prepare_sound.prepared if source.sound else prepare.prepared
    data = prepared(source, section, seed, cache / "data" / key, progress)
    if section.unlabelled is None:
        return data
    return unlabelled.joined(data, section, cache / "data", trust=trust, progress=progress)


def test_source(spec: str, shape: tuple[int, int, int], *, trust: bool = False) -> Source:
    """A source of test images, found and named but not decoded.

    Args:
        spec: as data.test.
        shape: (H, W, C) that images will have.
        trust: allow pickled arrays in .npz files.

    Raises:
        DataError: no such source, or none that can give such images.
    """
    source = _read(spec, trust)
    if source.sound:
        raise DataError("this is sound, not images", where=spec, fix="give test images")
    if spec == "digits" and shape[2] != 1:
        raise DataError(
            f"the digits are grey, and the student takes {shape[2]} channels",
            where=spec,
            fix="give test images in colour",
        )
    return source


def load_test(
    spec: str, shape: tuple[int, int, int], *, cache: Path, trust: bool = False
) -> tuple[Split, tuple[str, ...], str]:
    """The test images of a source, all of it where it has no test split, with class names and fingerprint.

    Args:
        spec: as data.test.
        shape: (H, W, C) of the decoded images.
        cache: where the built-in digits are divided, which are the one source without a file to name.
        trust: allow pickled arrays in .npz files.

    Raises:
        DataError: as ``test_source``, or a broken image.
    """
    source = test_source(spec, shape, trust=trust)
    if spec == "digits":
        data = load(DataSection(source=spec, resolution=shape[0]), seed=0, cache=cache)
        return data.test, data.labels, data.fingerprint
    pool = source.test or source.train
    images = np.zeros((len(pool), *shape), dtype=np.uint8)
    rows = {i: (images, i) for i in range(len(pool))}
    broken = decode.decode(pool, rows, decode.Geometry(*shape))
    if broken:
        text = checks.broken_text(list(broken.values()), len(pool))
        raise DataError(text, where=spec, fix="repair or remove these files")
    return Split(images, pool.labels), source.labels, arrays_identity(images, pool.labels)


def task_of(spec: str) -> str:
    """The row of tasks.TASKS that a data source belongs to; sources that cannot be used count as images."""
    path = Path(spec).expanduser()
    sound = path.is_dir() and not parquet.files_in(path) and audio.holds_sound(path)
    return "keyword-spotting" if sound else "image-classification"


def _read(spec: str, trust: bool, group: str | None = None) -> Source:
    if spec == "digits":
        return digits.read()
    if DataSection(source=spec).synthetic:
        raise DataError(
            "synthetic images are made in a build, from its teacher",
            where=spec,
            fix="give real examples (--data)",
        )
    path = Path(spec).expanduser()
    if path.is_dir():
        if parquet.files_in(path):
            return parquet.read(path)
        return audio.read(path, group) if audio.holds_sound(path) else folder.read(path)
    if path.is_file():
        if path.suffix.lower() == ".parquet":
            return parquet.read(path)
        if path.suffix.lower() == ".npz":
            return npz.read(path, trust=trust)
        raise DataError(
            f"a {path.suffix or 'file without suffix'} is not a known kind of data",
            where=str(path),
            fix="; ".join(f"{kind.spec}: {kind.purpose}" for kind in SOURCES.values()),
        )
    if callables.looks_like(spec):
        return python.read(spec)
    if "/" not in spec and "\\" not in spec and "." not in spec:
        raise UnknownNameError(
            "data source",
            spec,
            ["digits", "synthetic", "FOLDER", "FILE.parquet", "FILE.npz", "module:callable"],
        )
    raise DataError("no such file or folder", where=spec, fix="check the path (data.source or --data)")


def _with_test(source: Source, other: Source, spec: str) -> Source:
    """The test pool of ``other`` (or all of it), its classes renumbered by name."""
    if other.sound != source.sound:
        raise DataError(
            "one of the training and the test source holds sound and the other images",
            where=spec,
            fix="give two of a kind",
        )
    pool = other.test or other.train
    unknown = sorted(set(other.labels) - set(source.labels))
    if unknown:
        raise DataError(
            f"the test source has classes that the training source lacks: {', '.join(unknown[:5])}",
            where=spec,
            fix=f"the training classes: {', '.join(source.labels[:10])}",
        )
    number = np.array([source.labels.index(name) for name in other.labels], dtype=np.int64)
    if len(pool) and int(pool.labels.max()) >= len(number):
        raise DataError(
            f"labels out of range: {pool.labels.max()}", where=spec, fix=f"0..{len(number) - 1} are known"
        )
    identity = hashlib.sha256(f"{source.identity}{other.identity}".encode()).hexdigest()
    return replace(source, test=replace(pool, labels=number[pool.labels]), identity=identity)
