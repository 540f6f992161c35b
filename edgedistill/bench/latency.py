"""Times one inference as percentiles, because a mean hides the slow calls a user notices."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.bench import statistics
from edgedistill.record import Measurement
from edgedistill.runners import Runner

ROUNDS = 10  # turns that interleaved models take; drift of clock and heat then falls on all alike
LEAST = 200  # runs per model without a count of the user's; MLPerf Tiny's windows hold at least 10
MOST = 5_000
SECONDS = 10.0  # for all models of a runtime together, after which no further turn begins
PORTION = 20  # runs of a turn at most, so that a turn is short against drift

Samples = NDArray[np.float64]


def summarise(
    samples_ms: NDArray[Any],
    *,
    artifact: str,
    runtime: str,
    device: str,
    threads: int,
    warmup: int,
    note: str = "",
    isolation: str = "",
) -> Measurement:
    """The median with its interval, p90 and p99 of single-inference times in ms, in their order."""
    assert samples_ms.size > 0, "no sample was taken"
    p50, p90, p99 = (float(v) for v in np.percentile(np.asarray(samples_ms, np.float64), (50, 90, 99)))
    low, high = statistics.interval(samples_ms.tolist())
    known = bool(np.isfinite([low, high]).all())
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
        low=low if known else None,
        high=high if known else None,
        isolation=isolation,
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
        By artifact name, ``runs`` times in ms in their order.
    """
    found = in_turns(models, split_evenly(runs, rounds), warmup=warmup)
    return {name: np.concatenate(turns) for name, turns in found.items()}


def split_evenly(runs: int, rounds: int = ROUNDS) -> list[int]:
    """How many of ``runs`` each turn takes."""
    assert runs >= 1 and rounds >= 1
    return [len(part) for part in np.array_split(np.arange(runs), min(rounds, runs))]


def in_turns(
    models: Mapping[str, tuple[Runner, NDArray[Any]]],
    shares: Sequence[int] | None,
    *,
    warmup: int,
    seconds: float = SECONDS,
) -> dict[str, list[Samples]]:
    """Times models in turns, every other turn in the opposite order (A B, B A), so that drift cancels out.

    Args:
        models: by name, the loaded model and its input of batch 1.
        shares: runs of each turn; None: turns follow until every model's median is known to 2 %, at least
            200 and at most 5,000 runs per model, or 10 s.
        warmup: runs of each model before its first counted one.
        seconds: instead of the 10.

    Returns:
        By name, the times of each turn in ms; all have the same turns.
    """
    samples: dict[str, list[Samples]] = {name: [] for name in models}
    started = time.monotonic()
    for turn, share in enumerate(_growing() if shares is None else shares):
        for name in list(models)[:: -1 if turn % 2 else 1]:
            runner, x = models[name]
            # one uncounted run per later turn refills the caches that the other model emptied
            taken = runner.latency_ms(x, runs=share, warmup=warmup if turn == 0 else 1)
            samples[name].append(np.asarray(taken, np.float64))
        if shares is None and _known(samples, time.monotonic() - started >= seconds):
            break
    return samples


def _growing() -> Iterator[int]:
    """1, 2, 4, 8, 16, 20, 20 ...: a slow model's first turn is short, so that the time is looked at."""
    return (min(PORTION, 2**turn) for turn in itertools.count())


def _known(samples: Mapping[str, Sequence[Samples]], late: bool) -> bool:
    counts = {sum(map(len, turns)) for turns in samples.values()}
    assert len(counts) == 1, "all have the same turns"
    count = counts.pop()
    if count >= MOST or (late and count >= statistics.FEWEST):
        return True
    flat = (np.concatenate(turns).tolist() for turns in samples.values())
    return count >= LEAST and all(map(statistics.enough, flat))
