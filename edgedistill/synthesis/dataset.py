"""Makes a data set of synthetic images: labelled by the teacher, divided, kept like any other."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.data import cache
from edgedistill.recipe import DataSection
from edgedistill.synthesis.bank import Bank

_HELD_OUT = 1000  # at most: an agreement measured on so many is off by 1.6 points at the most (1 sigma)
_ROWS = 1000


def write(
    folder: Path, bank: Bank, count: int, labels: tuple[str, ...], section: DataSection, seed: int, name: str
) -> None:
    """Writes the splits of the bank's first ``count`` images into ``folder``, as data.cache reads them.

    An image's label is the teacher's answer to it, whatever it was made for.
    """
    answers: NDArray[np.int64] = np.asarray(bank.answers[0, :count]).argmax(1)
    order = np.random.default_rng((seed, 0x5917)).permutation(count)
    test = min(round(section.test_share * count), _HELD_OUT)
    validation = min(round(section.validation_share * count), _HELD_OUT)
    parts = {
        "test": order[:test],
        "validation": order[test : test + validation],
        "train": order[test + validation :],
    }
    fingerprint = hashlib.sha256("\n".join(labels).encode())
    for part in cache.SPLITS:
        rows = np.sort(parts[part])
        array = cache.blank(folder / f"{part}.npy", (len(rows), *bank.images.shape[2:]))
        for start in range(0, len(rows), _ROWS):
            array[start : start + _ROWS] = bank.images[0, rows[start : start + _ROWS]]
            fingerprint.update(array[start : start + _ROWS].tobytes())
        array.flush()
        np.save(folder / f"{part}-labels.npy", answers[rows])
        fingerprint.update(answers[rows].tobytes())
    missing = sorted(set(range(len(labels))) - set(answers.tolist()))
    warnings = (
        (f"the teacher takes no synthetic image for {', '.join(labels[i] for i in missing[:8])}",)
        if missing
        else ()
    )
    card = cache.Card(name=name, labels=labels, fingerprint=fingerprint.hexdigest(), warnings=warnings)
    (folder / "card.json").write_text(card.model_dump_json(indent=1), "utf-8")
