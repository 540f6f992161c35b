"""Augmented views of the training images with the teacher's answers, computed once and kept.

A teacher's forward pass costs several times a small student's training step. So K augmented
views of every image are drawn once, shown to the teacher, and stored with its logits (and, when
asked, with what layers of it answered, as float16); each epoch then only gathers. The files are
memory-mapped; a broken-off computation goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.data.types import ImageData, Split
from edgedistill.errors import InputError
from edgedistill.mapped import new_array
from edgedistill.reporter import Reporter
from edgedistill.store import Store
from edgedistill.teachers.types import Inside, Knowing, Teacher
from edgedistill.units import format_bytes

Logits = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
_CHUNK = 500


@dataclass(frozen=True, eq=False)
class Views:
    """images uint8 [K, N, H, W, C] and the teacher's logits float32 [K, N, classes]."""

    images: NDArray[np.uint8]
    logits: NDArray[np.float32]
    features: Mapping[str, NDArray[np.float16]] = field(default_factory=dict)  # by layer, [K, N, ...]

    def batch(
        self, epoch: int, indices: NDArray[np.int64], seed: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], dict[str, NDArray[np.float16]]]:
        """The view of each image that belongs to ``epoch``: every image meets its K views in turn."""
        offsets: NDArray[np.int64] = np.random.default_rng((seed, 0x51EE)).integers(
            len(self.images), size=(self.images.shape[1],)
        )
        view = (offsets[indices] + epoch) % len(self.images)
        features = {name: values[view, indices] for name, values in self.features.items()}
        return self.images[view, indices], self.logits[view, indices], features


def check_size(layers: Mapping[str, tuple[int, ...]], views: int, images: int, limit_bytes: int) -> None:
    """Holds the features of ``layers``, shapes by name, against what they may take.

    Raises:
        InputError: they would take more.
    """
    needed = views * images * 2 * sum(int(np.prod(shape)) for shape in layers.values())
    if needed > limit_bytes:
        raise InputError(
            f"{views} view(s) of {images} images at {len(layers)} layers take {format_bytes(needed)}, "
            f"the limit is {format_bytes(limit_bytes)}",
            where="distill.cache_limit",
            fix="tap fewer or smaller layers, lower distill.views, raise distill.cache_limit, "
            "or set distill.cache_features = false: the teacher is then asked for each batch",
        )


def compute(
    folder: Path,
    split: Split,
    logits: Logits,
    classes: int,
    count: int,
    augmentations: Sequence[str],
    seed: int,
    reporter: Reporter,
    *,
    inside: Inside | None = None,
    layers: Mapping[str, tuple[int, ...]] | None = None,
    knowing: Knowing | None = None,
) -> Views:
    """Fills ``folder`` with ``count`` views and returns them, resuming what is there.

    Args:
        folder: a scratch folder of this very data set, teacher, augmentation and seed.
        inside: the teacher with its layers, asked for those in ``layers`` (names and shapes).
        knowing: the teacher where it has a use for the images' labels.
    """
    n = len(split)
    layers = layers or {}
    done_file = folder / "done.json"
    files = files_of(layers)
    whole = all((folder / name).exists() for name in (*files, "done.json"))
    done = int(json.loads(done_file.read_text())["chunks"]) if whole else 0
    if done:
        arrays = [np.load(folder / name, mmap_mode="r+") for name in files]
    else:
        shapes = (split.images_NHWC.shape[1:], (classes,), *layers.values())
        types = (np.uint8, np.float32, *[np.float16] * len(layers))
        arrays = [
            new_array(folder / name, dtype, (count, n, *shape))
            for name, dtype, shape in zip(files, types, shapes, strict=True)
        ]
    starts = [(view, start) for view in range(count) for start in range(0, n, _CHUNK)]
    for i, (view, start) in enumerate(starts):
        if i < done:
            continue
        part = slice(start, min(start + _CHUNK, n))
        rng = np.random.default_rng((seed, view, start))
        arrays[0][view, part] = split.augmented(part, augmentations, rng)
        seen = np.asarray(arrays[0][view, part])
        if knowing is not None:
            told = knowing(split.labels[part])
            logits, inside = told.logits, told.inside
        if layers:
            assert inside is not None, "layers are asked of a teacher that shows them"
            answers = inside(seen, tuple(layers))
            parts = [answers.logits, *(answers.features[name] for name in layers)]
        else:
            parts = [logits(seen)]
        for array, values in zip(arrays[1:], parts, strict=True):
            if array.dtype == np.float16 and np.abs(values).max(initial=0) > np.finfo(np.float16).max:
                raise InputError(
                    "a teacher's feature is beyond float16, in which features are cached",
                    where="distill.cache_features",
                    fix="cache_features = false, or tap a layer behind a normalisation",
                )
            array[view, part] = values
        if i % 20 == 19 or i + 1 == len(starts):
            for array in arrays:
                array.flush()
            done_file.write_text(json.dumps({"chunks": i + 1}))
        reporter.progress(i + 1, len(starts), {"views": f"{view + 1}/{count}"})
    return Views(arrays[0], arrays[1], dict(zip(layers, arrays[2:], strict=True)))


def load(folder: Path, layers: Sequence[str] = ()) -> Views:
    """A finished cache, memory-mapped and read-only."""
    images, logits, *features = (np.load(folder / name, mmap_mode="r") for name in files_of(layers))
    return Views(images, logits, dict(zip(layers, features, strict=True)))


def parts(
    data: ImageData, teacher: Teacher, count: int, augmentations: Sequence[str], seed: int
) -> dict[str, str]:
    """What decides a cache of answers alone, for its key in the store."""
    return {
        "data": data.fingerprint,
        "teacher": teacher.fingerprint,
        "views": str(count),
        "augment": ",".join(augmentations),
        "seed": str(seed),
    }


def kept(
    store: Store,
    name: str,
    data: ImageData,
    teacher: Teacher,
    count: int,
    augmentations: Sequence[str],
    seed: int,
    reporter: Reporter,
    layers: Mapping[str, tuple[int, ...]] | None = None,
) -> Views:
    """The cache of the training images that the store has under ``name``; it is filled first if need be."""
    layers = layers or {}
    if store.find("views", name) is None:
        work = store.work("views", name)
        compute(
            work,
            data.train,
            teacher.logits,
            len(data.labels),
            count,
            augmentations,
            seed,
            reporter,
            inside=teacher.inside,
            layers=layers,
            knowing=teacher.knowing,
        )
        with store.writing("views", name) as folder:
            for file in files_of(layers):
                (work / file).replace(folder / file)
    found = store.find("views", name)
    assert found is not None
    return load(found, tuple(layers))


def files_of(layers: Iterable[str]) -> tuple[str, ...]:
    """The names of a cache's files; a layer's name may hold what a file's may not."""
    return ("images.npy", "logits.npy", *(f"feature-{i}.npy" for i, _ in enumerate(layers)))
