"""Compares a runtime's int8 values with the interpreter's, one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import ParityError
from edgedistill.ir.interpret import Family
from edgedistill.record import How, Parity


def compare(expected: NDArray[np.int8], got: NDArray[Any], where: str = "") -> tuple[int, int, int, int]:
    """(identical values, values, worst difference in LSB, top answers that changed).

    The top answer is the argmax of each row [N, ...]; the first of equal values wins.

    Raises:
        ParityError: ``got``, of the file ``where``, has another shape or type.
    """
    if expected.shape != got.shape or expected.dtype != got.dtype:
        raise ParityError(
            f"a runtime answered {got.dtype} {list(got.shape)} "
            f"where the interpreter answers {expected.dtype} {list(expected.shape)}",
            where=where,
            fix="export the model again",
        )
    if expected.size == 0:
        return 0, 0, 0, 0
    lsb = np.abs(expected.astype(np.int32) - got.astype(np.int32))
    rows = len(expected)
    flips = expected.reshape(rows, -1).argmax(axis=1) != got.reshape(rows, -1).argmax(axis=1)
    return int((lsb == 0).sum()), int(lsb.size), int(lsb.max()), int(flips.sum())


def compared(
    expected: NDArray[np.int8],
    got: NDArray[Any],
    path: Path,
    runtime: str,
    how: How,
    note: str,
    *,
    family: Family = "F",
    promised: bool = True,
) -> Parity:
    """``compare``, as a record holds it of the file ``path``.

    Raises:
        ParityError: as ``compare``.
    """
    identical, values, worst, flips = compare(expected, got, str(path))
    return Parity(
        runtime=runtime,
        artifact=path.name,
        family=family,
        how=how,
        values=values,
        identical=identical,
        max_lsb=worst,
        top1_flips=flips,
        promised=promised,
        note=note,
    )
