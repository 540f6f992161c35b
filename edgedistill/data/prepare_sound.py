"""Makes a usable data set of clips: decodes them, divides them by speaker, computes their features."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.data import audio, cache, checks, frontend, split
from edgedistill.data.audio import Clip
from edgedistill.data.decode import mapped
from edgedistill.data.source import Pool, Source
from edgedistill.data.types import ImageData
from edgedistill.errors import DataError
from edgedistill.recipe import DataSection

NOISE_CLASSES = ("_silence_", "silence", "_background_noise_", "background", "_noise_", "noise")
_CHUNK = 64  # clips whose features are computed at once
_NOTHING = np.zeros(0, dtype=np.int16)

Parts = dict[str, tuple[str, NDArray[np.int64]]]  # split -> (pool, indices)


def prepared(
    source: Source,
    section: DataSection,
    seed: int,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
) -> ImageData:
    """The data set in ``folder``, made there first if it is not there yet.

    A speaker is in one split only, and the splits are the same for every ``seed``; it decides
    which clips ``data.limit`` keeps.
    """
    kept = cache.load(folder)
    if kept is not None:
        return kept
    where = section.source
    if section.resolution is not None:
        raise DataError(
            f"data.resolution = {section.resolution} is for images, and this is sound",
            where=where,
            fix=f"leave it out: clips become {frontend.FRAMES} frames of {frontend.BANDS} bands",
        )
    pools = {
        name: pool
        for name, pool in (("train", source.train), ("validation", source.validation), ("test", source.test))
        if pool is not None and (len(pool) or name == "train")
    }
    checks.check_labels(source, pools, where, "clip")
    parts, warnings = _divide(pools, section, seed, where)
    with cache.writing(folder) as temporary:
        clips, broken = _decode(pools, parts, temporary, progress)
        total = sum(len(indices) for _, indices in parts.values())
        checks.check_broken(broken, total, section, where, "clip")
        warnings += _done_to(clips)
        rows, twice = _rows(clips)
        if twice:
            warnings.append(f"{twice} clips are in two splits: they were left out of the earlier one")
        fingerprint = hashlib.sha256(
            json.dumps([cache.FORMAT, source.labels, frontend.tables().sha256], sort_keys=True).encode()
        )
        noise = [i for i, name in enumerate(source.labels) if name.lower() in NOISE_CLASSES]
        for name, (pool, indices) in parts.items():
            if len(rows[name]) < len(indices):
                cache.keep_rows(temporary / f"{name}-waveforms.npy", rows[name])
            labels = pools[pool].labels[indices[rows[name]]]
            _features(temporary, name, len(labels))
            np.save(temporary / f"{name}-labels.npy", labels)
            np.save(temporary / f"{name}-noise.npy", np.flatnonzero(np.isin(labels, noise)))
            fingerprint.update(f"{name}{len(labels)}".encode() + labels.tobytes())
            fingerprint.update(b"".join(clips[name][row].digest for row in rows[name].tolist()))
            warnings += _check_split(labels, source.labels, name, where)
        if broken:
            warnings.append(checks.broken_text(broken, total, "clip") + "; they were left out")
        card = cache.Card(
            name=source.name,
            labels=source.labels,
            fingerprint=fingerprint.hexdigest(),
            warnings=(*source.warnings, *warnings),
            task="keyword-spotting",
        )
        (temporary / "card.json").write_text(card.model_dump_json(indent=1), "utf-8")
    data = cache.load(folder)
    assert data is not None
    return data


def _divide(pools: dict[str, Pool], section: DataSection, seed: int, where: str) -> tuple[Parts, list[str]]:
    """The three parts: no clip twice, no speaker in two of them."""
    warnings: list[str] = []
    train = np.arange(len(pools["train"]), dtype=np.int64)
    groups = np.array(pools["train"].groups)
    if len(set(pools["train"].groups)) + len(pools) < 4:
        raise DataError(
            f"all {len(train)} clips are of one or two speakers ({', '.join(sorted(set(groups))[:2])}), "
            "and training, validation and test need one each",
            where=where,
            fix='name the rule by which a clip\'s speaker is found: data.group = "file" keeps none together',
        )
    parts: Parts = {}
    for name, share in (("test", section.test_share), ("validation", section.validation_share)):
        if name in pools:
            parts[name] = (name, np.arange(len(pools[name]), dtype=np.int64))
            known = np.isin(groups[train], pools[name].groups)
            if known.any():
                warnings.append(
                    f"{int(known.sum())} training clips are of speakers of the {name} clips: left out"
                )
            train = train[~known]
        else:
            kept, held = split.hold_out_groups(groups[train].tolist(), share, name)
            parts[name], train = ("train", train[held]), train[kept]
    if section.limit is not None:
        labels = pools["train"].labels[train]
        train = train[split.thin_out(labels, section.limit, np.random.default_rng([seed, 1]))]
    return {"train": ("train", train), "validation": parts["validation"], "test": parts["test"]}, warnings


def _decode(
    pools: dict[str, Pool], parts: Parts, folder: Path, progress: Callable[[int, int], None] | None
) -> tuple[dict[str, list[Clip]], list[str]]:
    """Writes each split's samples; a broken clip's row stays empty and its digest too.

    Returns:
        What is known of each clip but its samples, and "name: problem" of the broken ones.
    """
    clips: dict[str, list[Clip]] = {}
    broken: list[str] = []
    for name, (pool, indices) in parts.items():
        array = cache.blank(
            folder / f"{name}-waveforms.npy", (len(indices), frontend.SAMPLES), dtype=np.int16
        )
        wanted = set(indices.tolist())
        chosen = (item for index, item in enumerate(pools[pool].items()) if index in wanted)
        clips[name] = []
        for row, result in enumerate(mapped(chosen, audio.decode, len(indices), progress)):
            if isinstance(result, str):
                broken.append(result)
                clips[name].append(Clip(result, _NOTHING, b""))
            else:
                array[row] = result.samples
                clips[name].append(replace(result, samples=_NOTHING))
        array.flush()
    return clips, broken


def _rows(clips: dict[str, list[Clip]]) -> tuple[dict[str, NDArray[np.int64]], int]:
    """The usable rows of each split, and how many were left out because a later split has the same clip."""
    rows: dict[str, NDArray[np.int64]] = {}
    later: set[bytes] = set()
    twice = 0
    for name in ("test", "validation", "train"):
        good = [row for row, clip in enumerate(clips[name]) if clip.digest]
        fresh = [row for row in good if clips[name][row].digest not in later]
        twice += len(good) - len(fresh)
        rows[name] = np.array(fresh, dtype=np.int64)
        later |= {clips[name][row].digest for row in good}
    return rows, twice


def _features(folder: Path, name: str, count: int) -> None:
    waveforms = np.load(folder / f"{name}-waveforms.npy", mmap_mode="r", allow_pickle=False)
    shape = (count, frontend.FRAMES, frontend.BANDS, 1)
    made = cache.blank(folder / f"{name}.npy", shape)
    for start in range(0, count, _CHUNK):
        made[start : start + _CHUNK] = frontend.features(np.asarray(waveforms[start : start + _CHUNK]))
    made.flush()


def _done_to(clips: dict[str, list[Clip]]) -> list[str]:
    everything = [clip for part in clips.values() for clip in part]
    counts = (
        (sum(c.cut for c in everything), "last longer than a second: the middle one was taken"),
        (sum(c.mixed for c in everything), "have several channels: their mean was taken"),
        (
            sum(c.resampled for c in everything),
            f"have another sample rate: resampled to {frontend.RATE_HZ} Hz",
        ),
    )
    return [f"{count} clips {what}" for count, what in counts if count]


def _check_split(labels: NDArray[np.int64], names: tuple[str, ...], part: str, where: str) -> list[str]:
    if part == "train":
        checks.check_counts(labels, names, 1, f"{where}, train split by speaker", part, "clip")
        return []
    if not len(labels):
        raise DataError(
            f"the {part} split is empty", where=where, fix="add clips of more speakers, or set data.group"
        )
    missing = [names[i] for i in np.flatnonzero(np.bincount(labels, minlength=len(names)) == 0)]
    return [f"no speaker of the {part} split says {', '.join(missing[:5])}"] if missing else []
