"""Rows of what a microcontroller's instructions were: products, loads, stores, branches, and bytes moved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.bench.files import C
from edgedistill.errors import GateError
from edgedistill.ir import plan
from edgedistill.ir.graph import Graph
from edgedistill.record import Measurement
from edgedistill.runners.cortex_m import mix
from edgedistill.runners.cortex_m.classes import CLASSES
from edgedistill.runners.cortex_m.mix import Mix
from edgedistill.target import Target

BYTES = {
    "loaded_bytes": "what was read, weights and stack too, whatever it was read from",
    "stored_bytes": "what was written, the stack too",
}
QUANTITIES = (*CLASSES, *BYTES)


def count(c_folder: Path, device: Target, x: NDArray[np.int8], cc: str) -> Mix | str:
    """Of one inference of ``x`` int8 [1, ...]; or why nothing was counted, which ends no build.

    Raises:
        InputError: as ``mix.count``.
    """
    reason = mix.reason_not_countable(cc)
    if reason is not None:
        return reason
    try:
        return mix.count(c_folder, device, x, cc=cc)
    except GateError as error:
        return error.what


def rows(
    counts: Mix | str, runtime: str, device: Target, graph: Graph | None = None
) -> Iterator[Measurement]:
    """One for each of ``QUANTITIES``.

    Args:
        counts: a str says why there are none.
        runtime: on which they were taken.
        device: whose firmware it was.
        graph: with it, loads are also given for each of the network's multiplications.
    """
    macs = 0 if graph is None else sum(plan.macs(graph).values())
    for name in QUANTITIES:
        value, note = (None, counts) if isinstance(counts, str) else _figure(counts, name, macs)
        yield Measurement(
            quantity=name,
            value=value,
            unit="bytes" if name in BYTES else "instructions",
            how="not run" if value is None else "emulated",
            artifact=C,
            runtime=runtime,
            device=device.title,
            count=0 if value is None else 1,
            note=note,
        )


def _figure(counts: Mix, name: str, macs: int) -> tuple[float, str]:
    """The value and what it is a part of."""
    whole = counts.whole
    if name in BYTES:
        value = whole.loaded_bytes if name == "loaded_bytes" else whole.stored_bytes
        note = f"of the first input: {BYTES[name]}"
    else:
        value = whole.executed[name]
        share = value / max(1, whole.instructions)
        note = f"{share:.1%} of the first input's {whole.instructions:,}: {CLASSES[name]}"
    if macs and name in ("loads", "loaded_bytes"):
        note += f"; {value / macs:.3g} for each of {macs:,} MACs"
    return float(value), note
