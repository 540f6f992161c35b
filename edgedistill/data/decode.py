"""Turns encoded images into pixels of one size, many at a time, and says which ones are broken."""

from __future__ import annotations

import hashlib
import io
import itertools
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgedistill.data.source import Item, Payload, Pool
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 64 * 2**20  # a larger image is taken for broken: 64 Mpx is 192 MiB decoded
WORKERS = 2
_CHUNK = 256  # images in flight
_ORIENTATION = 0x0112  # EXIF 2.32, table 4: values 5 to 8 swap width and height
_GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L")

T = TypeVar("T")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Found:
    """What one look at an image's header and bytes told. ``problem`` is empty when nothing is wrong."""

    name: str
    digest: bytes = b""
    height: int = 0
    width: int = 0
    grey: bool = False
    problem: str = ""


@dataclass(frozen=True)
class Geometry:
    """The size [H,W,C] of every decoded image."""

    height: int
    width: int
    channels: int


def scan(pool: Pool, progress: Progress | None = None) -> list[Found]:
    """Looks at every image's header; nothing is decoded."""
    return list(mapped(pool.items(), _look, len(pool), progress))


def choose(found: list[Found], resolution: int | None, where: str) -> tuple[Geometry, tuple[str, ...]]:
    """One size for all: the one asked for, the images' own where they agree, else the median side."""
    good = [f for f in found if not f.problem]
    if not good:
        first = found[0] if found else None
        raise DataError(
            f"none of the {len(found)} images can be read"
            + (f": {first.name}: {first.problem}" if first is not None else ""),
            where=where,
            fix="check the files with an image viewer",
        )
    channels = 1 if all(f.grey for f in good) else 3
    if resolution is not None:
        return Geometry(resolution, resolution, channels), ()
    sizes = {(f.height, f.width) for f in good}
    if len(sizes) == 1:
        height, width = sizes.pop()
        return Geometry(height, width, channels), ()
    median = statistics.median(min(f.height, f.width) for f in good)
    side = min(512, max(8, 8 * round(median / 8)))
    warning = (
        f"the images have {len(sizes)} different sizes: all are centre-cropped and resized to {side}x{side} "
        "(the median shorter side); set data.resolution in the recipe to choose"
    )
    return Geometry(side, side, channels), (warning,)


def decode(
    pool: Pool,
    wanted: dict[int, tuple[NDArray[np.uint8], int]],
    geometry: Geometry,
    progress: Progress | None = None,
) -> dict[int, str]:
    """Writes image ``i`` to row ``row`` of ``array`` for each ``wanted[i] = (array, row)``.

    Returns:
        index -> "name: problem" of the images that turned out broken; their rows are left as they were.
    """
    order = [index for index in range(len(pool)) if index in wanted]
    chosen = (item for index, item in enumerate(pool.items()) if index in wanted)
    broken: dict[int, str] = {}

    def pixels(item: Item) -> NDArray[np.uint8] | str:
        try:
            return _pixels(item[1], geometry)
        except _unreadable() as cause:
            return f"{item[0]}: {_reason(cause)}"

    for index, result in zip(order, mapped(chosen, pixels, len(order), progress), strict=True):
        if isinstance(result, str):
            broken[index] = result
        else:
            array, row = wanted[index]
            array[row] = result
    return broken


def mapped(
    items: Iterator[Item], work: Callable[[Item], T], total: int, progress: Progress | None
) -> Iterator[T]:
    """``work`` on every item, a few at a time, in order."""
    done = 0
    with ThreadPoolExecutor(WORKERS) as workers:
        while chunk := list(itertools.islice(items, _CHUNK)):
            yield from workers.map(work, chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, total)


def _unreadable() -> tuple[type[Exception], ...]:
    from PIL import Image, UnidentifiedImageError

    # what Pillow's decoders raise on damaged files, OSError covering truncation
    return (
        UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError, EOFError,
        IndexError, TypeError, KeyError, OverflowError, MemoryError, AttributeError,
    )  # fmt: skip


def _reason(cause: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(cause, FileNotFoundError):
        return "no such file"
    if isinstance(cause, UnidentifiedImageError):
        return "not an image"
    return str(cause).splitlines()[0] if str(cause) else type(cause).__name__


def _look(item: Item) -> Found:
    name, payload = item
    if isinstance(payload, np.ndarray):
        height, width, channels = payload.shape
        digest = _digest(f"{payload.shape}".encode() + payload.tobytes())
        return Found(name, digest, height, width, channels == 1)
    try:
        content = _content(payload)
        with _opened(content) as image:
            width, height = image.size
            if image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8):
                width, height = height, width
            return Found(name, _digest(content), height, width, image.mode in _GREY)
    except _unreadable() as cause:
        return Found(name, problem=_reason(cause))


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _content(payload: Path | bytes) -> bytes:
    content = payload.read_bytes() if isinstance(payload, Path) else payload
    if not content:
        raise ValueError("empty file")
    return content


def _opened(content: bytes) -> Image.Image:
    from PIL import Image

    image = Image.open(io.BytesIO(content))
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"{image.width}x{image.height} is more than {MAX_PIXELS >> 20} Mpx")
    return image


def _pixels(payload: Payload, geometry: Geometry) -> NDArray[np.uint8]:
    """The decoded image [H,W,C]: upright, centre-cropped to the aspect ratio, resized."""
    from PIL import Image, ImageOps

    if isinstance(payload, np.ndarray):
        if payload.shape == (geometry.height, geometry.width, geometry.channels):
            return payload
        image = Image.fromarray(payload[..., 0] if payload.shape[2] == 1 else payload)
    else:
        image = ImageOps.exif_transpose(_opened(_content(payload)))  # the first frame of an animation
    if image.mode.startswith("I"):  # 16 bits: convert("L") would clip at 255
        image = Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    image = image.convert("L" if geometry.channels == 1 else "RGB")
    if image.size != (geometry.width, geometry.height):
        zoom = min(image.width / geometry.width, image.height / geometry.height)
        crop_w, crop_h = zoom * geometry.width, zoom * geometry.height
        left, top = max((image.width - crop_w) / 2, 0.0), max((image.height - crop_h) / 2, 0.0)
        right, bottom = min(left + crop_w, image.width), min(top + crop_h, image.height)
        # one pass each: which of the two comes first in a single call depends on Pillow's version
        for size, box in (
            ((geometry.width, image.height), (left, 0, right, image.height)),
            ((geometry.width, geometry.height), (0, top, geometry.width, bottom)),
        ):
            image = image.resize(size, Image.Resampling.BILINEAR, box=box)
    return np.asarray(image, dtype=np.uint8).reshape(geometry.height, geometry.width, geometry.channels)
