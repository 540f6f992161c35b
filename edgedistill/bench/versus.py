"""Times two builds, or two models, against each other in mirrored turns: the ratio and how sure it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgedistill.bench import pairs
from edgedistill.bench.files import FLOAT32, INT8, split
from edgedistill.bench.isolation import conditions, words
from edgedistill.bench.latency import in_turns, split_evenly, summarise
from edgedistill.bench.machine import machine
from edgedistill.bench.measure import Loaded, golden_input, load
from edgedistill.bench.places import HERE, Found, Request, row_for
from edgedistill.errors import InputError
from edgedistill.record import Measurement
from edgedistill.runners import RUNNERS, name_for


def versus(request: Request, other: Path) -> Found:
    """``request.path`` against ``other``: latency of both, and their ratio turn by turn.

    Args:
        request: of the first; each folder's golden.npz gives the input.
        other: a build's folder, or a model; of two folders, files of the same name meet.

    Raises:
        InputError: there is nothing to compare, it is asked for on another machine, or as ``row_for``.
    """
    if request.on != HERE:
        raise InputError(
            "two builds are compared on this machine", where=f"--on {request.on}", fix="leave it out"
        )
    row_for(request)  # and with no option of another place
    device, threads = machine(), request.threads_or_default
    rows: list[Measurement] = []
    for pair in _meetings(request.path, other):
        one, two = (load(path, golden_input(path.parent), threads) for path in pair)
        timed = {str(m.path): (m.runner, m.x) for m in (one, two)}
        before = conditions()
        shares = None if request.adaptive else split_evenly(request.runs)
        turns = in_turns(timed, shares, warmup=request.warmup)
        around = words(before, conditions())
        for m in (one, two):
            rows.append(
                summarise(
                    np.concatenate(turns[str(m.path)]),
                    artifact=str(m.path),
                    runtime=m.label,
                    device=device,
                    threads=threads,
                    warmup=request.warmup,
                    note="in mirrored turns with the other",
                    isolation=around,
                )
            )
        rows.append(
            pairs.ratio(
                turns[str(one.path)],
                turns[str(two.path)],
                artifact=str(one.path),
                against=str(two.path),
                runtime=_runtimes(one, two),
                device=device,
                threads=threads,
                isolation=around,
            )
        )
    return Found(tuple(rows))


def _runtimes(one: Loaded, two: Loaded) -> str:
    return one.label if one.label == two.label else f"{one.label} against {two.label}"


def _meetings(one: Path, two: Path) -> list[tuple[Path, Path]]:
    """Which files run against which."""
    if one.resolve() == two.resolve():
        raise InputError("a model is not compared with itself", where=str(one), fix="name two")
    found = [
        {path.name: path for path in split(named)[1] if path.name in (*INT8, *FLOAT32) or path == named}
        for named in (one, two)
    ]
    runnable = [{name: path for name, path in models.items() if _runs(path)} for models in found]
    if one.is_dir() != two.is_dir():
        raise InputError(
            f"{one} and {two} are a folder and a file", where="--compare", fix="give two folders or two files"
        )
    if not one.is_dir():
        met = list(zip(runnable[0].values(), runnable[1].values(), strict=False))
    else:
        met = [(path, runnable[1][name]) for name, path in runnable[0].items() if name in runnable[1]]
    if not met:
        raise InputError(
            "no runtime of this machine runs a model of both",
            where=f"{one} and {two}",
            fix="give two folders with files of the same name, or two models; see `edgedistill doctor`",
        )
    return met


def _runs(path: Path) -> bool:
    name = name_for(path)
    return name is not None and RUNNERS[name].can_run_here
