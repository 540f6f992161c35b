"""Times one inference as percentiles, because a mean hides the slow calls a user notices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.record import Measurement
from edgedistill.runners import Runner

ROUNDS = 10  # turns that interleaved models take; drift of clock and heat then falls on all alike


def summarise(
    samples_ms: NDArray[Any],
    *,
    artifact: str,
    runtime: str,
    device: str,
    threads: int,
    warmup: int,
    note: str = "",
) -> Measurement:
    """The median with p90 and p99 of single-inference times in ms."""
    assert samples_ms.size > 0, "no sample was taken"
    p50, p90, p99 = (float(v) for v in np.percentile(np.asarray(samples_ms, np.float64), (50, 90, 99)))
    return Measurement(
        quantity="latency",
        value=p50,
        unit="ms",
        how="measured",
        artifact=artifact,
        runtime=runtime,
        device=device,
        count=int(samples_ms.size),
        p50=p50,
        p90=p90,
        p99=p99,
        threads=threads,
        note="; ".join(part for part in (f"batch 1, {warmup} warm-up runs not counted", note) if part),
    )


def interleaved(
    models: Mapping[str, tuple[Runner, NDArray[Any]]], *, runs: int, warmup: int, rounds: int = ROUNDS
) -> dict[str, NDArray[np.float64]]:
    """Times several models in turns within the same interval.

    Args:
        models: by artifact name, the loaded model and its input of batch 1.
        runs: counted runs per model in all.
        warmup: runs of each model before its first counted one.
        rounds: turns that each model takes.

    Returns:
        By artifact name, ``runs`` times in ms.
    """
    assert runs >= 1 and rounds >= 1
    samples: dict[str, list[NDArray[np.float64]]] = {name: [] for name in models}
    for turn, share in enumerate(np.array_split(np.arange(runs), min(rounds, runs))):
        for name, (runner, x) in models.items():
            # one uncounted run per later turn refills the caches that the other model emptied
            taken = runner.latency_ms(x, runs=len(share), warmup=warmup if turn == 0 else 1)
            samples[name].append(np.asarray(taken, np.float64))
    return {name: np.concatenate(parts) for name, parts in samples.items()}
