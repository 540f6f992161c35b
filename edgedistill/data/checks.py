"""Says in words why a data set cannot be used: too few examples, labels out of range, broken files."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgedistill.data.source import Pool, Source
from edgedistill.errors import DataError
from edgedistill.recipe import DataSection

_MIN_PER_CLASS = 3  # one each for train, validation and test
_NAMED = 5  # broken files named in a message


def check_labels(source: Source, pools: dict[str, Pool], where: str, noun: str = "image") -> None:
    """Raises a DataError unless there are two classes or more, each with enough examples."""
    if not len(source.train):
        raise DataError(
            f"the data set has no training {noun}s", where=where, fix="check the path and its content"
        )
    if len(set(source.labels)) != len(source.labels):
        raise DataError("two classes have the same name", where=where, fix="give each class its own name")
    if len(source.labels) < 2:
        raise DataError(
            f"there is only one class: {', '.join(source.labels)}",
            where=where,
            fix="a classifier needs two classes or more",
        )
    for name, pool in pools.items():
        highest = int(pool.labels.max())
        if highest >= len(source.labels):
            count = int((pool.labels >= len(source.labels)).sum())
            raise DataError(
                f"labels out of range: {highest} ({count} of {len(pool)}), "
                f"but there are {len(source.labels)} class names, so 0..{len(source.labels) - 1} are allowed",
                where=f"{where}, {name}",
                fix="correct the labels or the list of names",
            )
    check_counts(source.train.labels, source.labels, _MIN_PER_CLASS, where, "train", noun)


def check_counts(
    labels: NDArray[np.int64], names: tuple[str, ...], least: int, where: str, part: str, noun: str = "image"
) -> None:
    """Raises a DataError where a class has fewer than ``least`` examples; the test part may lack classes."""
    counts = np.bincount(labels, minlength=len(names))
    few = [f"{names[i]} ({counts[i]})" for i in np.flatnonzero(counts < least)]
    if few and part != "test":
        more = f" and {len(few) - _NAMED} more" if len(few) > _NAMED else ""
        raise DataError(
            f"{len(few)} classes have fewer than {least} {noun}s: {', '.join(few[:_NAMED])}{more}"
            if len(few) > 1
            else f"class {few[0].partition(' (')[0]!r} has {few[0].rpartition(' (')[2][:-1]} {noun}(s), "
            f"at least {least} are needed",
            where=where,
            fix=f"add {noun}s to it or remove the class",
        )


def broken_text(broken: list[str], total: int, noun: str = "image") -> str:
    """How many are broken, and the first of them by name."""
    more = f"; and {len(broken) - _NAMED} more" if len(broken) > _NAMED else ""
    return f"{len(broken)} of {total} {noun}s are broken ({'; '.join(broken[:_NAMED])}{more})"


def check_broken(
    broken: list[str], total: int, section: DataSection, where: str, noun: str = "image"
) -> None:
    """Raises a DataError where more are broken than the recipe allows."""
    if len(broken) > section.max_broken_share * total:
        raise DataError(
            f"{broken_text(broken, total, noun)}, "
            f"more than data.max_broken_share = {section.max_broken_share:g} allows",
            where=where,
            fix="repair or remove these files, or raise data.max_broken_share",
        )
