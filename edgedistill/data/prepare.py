"""Makes a usable data set of a source: checks it, divides it, decodes it into the cache."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.data import cache, checks, decode, split
from edgedistill.data.cache import FORMAT
from edgedistill.data.decode import Found, Progress
from edgedistill.data.source import Pool, Source
from edgedistill.data.types import ImageData
from edgedistill.errors import DataError
from edgedistill.recipe import DataSection

__all__ = ["FORMAT", "prepared"]

TEST_SEED = 0  # fixed: the test split must not move with the recipe's seed, or figures could not be compared


@dataclass(frozen=True, eq=False)
class _Part:
    """One split before decoding: which examples of which pool."""

    pool: str
    indices: NDArray[np.int64]


def prepared(
    source: Source, section: DataSection, seed: int, folder: Path, progress: Progress | None = None
) -> ImageData:
    """The data set in ``folder``, made there first if it is not there yet."""
    kept = cache.load(folder)
    if kept is not None:
        return kept
    pools = {
        name: pool
        for name, pool in (("train", source.train), ("validation", source.validation), ("test", source.test))
        if pool is not None and (len(pool) or name == "train")
    }
    where = section.source
    checks.check_labels(source, pools, where)
    found = {name: decode.scan(pool, progress) for name, pool in pools.items()}
    everything = [f for scan in found.values() for f in scan]
    broken = [f"{f.name}: {f.problem}" for f in everything if f.problem]
    checks.check_broken(broken, len(everything), section, where)
    geometry, warnings = decode.choose(everything, section.resolution, where)
    parts, split_warnings = _divide(pools, found, source, section, seed)
    warnings = (*source.warnings, *warnings, *split_warnings)

    with cache.writing(folder) as temporary:
        arrays: dict[str, cache.Map] = {}
        wanted: dict[str, dict[int, tuple[NDArray[np.uint8], int]]] = {name: {} for name in pools}
        for name, part in parts.items():
            shape = (len(part.indices), geometry.height, geometry.width, geometry.channels)
            arrays[name] = cache.blank(temporary / f"{name}.npy", shape)
            for row, index in enumerate(part.indices.tolist()):
                wanted[part.pool][index] = (arrays[name], row)
        late = {name: decode.decode(pool, wanted[name], geometry, progress) for name, pool in pools.items()}
        broken += [text for texts in late.values() for text in texts.values()]
        checks.check_broken(broken, len(everything), section, where)
        for array in arrays.values():
            array.flush()
        arrays.clear()
        wanted.clear()
        fingerprint = hashlib.sha256(
            json.dumps([FORMAT, source.labels, vars(geometry)], sort_keys=True).encode()
        )
        for name, part in parts.items():
            good = np.array([i not in late[part.pool] for i in part.indices.tolist()], dtype=bool)
            if not good.all():
                cache.keep_rows(temporary / f"{name}.npy", np.flatnonzero(good))
            indices = part.indices[good]
            labels = pools[part.pool].labels[indices]
            np.save(temporary / f"{name}-labels.npy", labels)
            fingerprint.update(f"{name}{len(labels)}".encode() + labels.tobytes())
            fingerprint.update(b"".join(found[part.pool][i].digest for i in indices.tolist()))
            checks.check_counts(
                labels, source.labels, 1, f"{where}, {name} split after broken images were left out", name
            )
        if broken:
            warnings = (*warnings, checks.broken_text(broken, len(everything)) + "; they were left out")
        card = cache.Card(
            name=source.name, labels=source.labels, fingerprint=fingerprint.hexdigest(), warnings=warnings
        )
        (temporary / "card.json").write_text(card.model_dump_json(indent=1), "utf-8")
    data = cache.load(folder)
    assert data is not None
    return data


def _divide(
    pools: dict[str, Pool], found: dict[str, list[Found]], source: Source, section: DataSection, seed: int
) -> tuple[dict[str, _Part], tuple[str, ...]]:
    """The three parts: no index twice, no image in two of them."""
    warnings: list[str] = []
    labels = {name: pool.labels for name, pool in pools.items()}
    digest = {name: [f.digest for f in scan] for name, scan in found.items()}
    usable = {
        name: np.array([i for i, f in enumerate(s) if not f.problem], dtype=np.int64)
        for name, s in found.items()
    }
    rng = np.random.default_rng([seed, 1])

    def digests(pool: str, indices: NDArray[np.int64]) -> list[bytes]:
        return [digest[pool][i] for i in indices.tolist()]

    def without(pool: str, indices: NDArray[np.int64], others: list[bytes], text: str) -> NDArray[np.int64]:
        twice = split.shared(digests(pool, indices), others)
        if twice.any():
            warnings.append(f"{int(twice.sum())} images are in both {text}: they were left out of the former")
        return indices[~twice]

    train = usable["train"]
    if "test" in pools:
        test = _Part("test", usable["test"])
        train = without("train", train, digests("test", test.indices), "the training and the test images")
    else:
        fixed = np.random.default_rng(TEST_SEED)
        kept, held = split.hold_out(
            labels["train"][train], digests("train", train), section.test_share, fixed
        )
        test, train = _Part("train", train[held]), train[kept]
    if section.limit is not None and section.limit < len(train):
        if section.limit < 2 * len(source.labels):
            raise DataError(
                f"data.limit = {section.limit} leaves fewer than 2 images "
                f"for each of {len(source.labels)} classes",
                where=section.source,
                fix=f"raise it to {2 * len(source.labels)} or more",
            )
        train = train[split.thin_out(labels["train"][train], section.limit, rng)]
    if "validation" in pools:
        indices = usable["validation"]
        if "test" in pools:
            both = "the validation and the test images"
            indices = without("validation", indices, digests("test", test.indices), both)
        validation = _Part("validation", indices)
        train = without(
            "train", train, digests("validation", indices), "the training and the validation images"
        )
    else:
        kept, held = split.hold_out(
            labels["train"][train], digests("train", train), section.validation_share, rng
        )
        validation, train = _Part("train", train[held]), train[kept]
    return {"train": _Part("train", train), "validation": validation, "test": test}, tuple(warnings)
