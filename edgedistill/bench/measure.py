"""Measures every model file of a build: latency, memory, size, accuracy, energy, each with its provenance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.bench import pairs
from edgedistill.bench.accuracy import REAL_STEP, to_int8, to_real, top1
from edgedistill.bench.energy import energy
from edgedistill.bench.files import COREML, FLOAT32, GOLDEN, INT8, C, size_of, split
from edgedistill.bench.isolation import conditions, words
from edgedistill.bench.latency import in_turns, split_evenly, summarise
from edgedistill.bench.machine import machine
from edgedistill.bench.memory import peak_memory
from edgedistill.bench.operators import operator_times, slowest
from edgedistill.data.types import Split
from edgedistill.errors import InputError
from edgedistill.ir import golden
from edgedistill.ir.graph import Graph
from edgedistill.record import Measurement
from edgedistill.runners import RUNNERS, Runner, name_for


@dataclass(frozen=True)
class Loaded:
    """A model in its runtime, with one input for it."""

    path: Path
    runtime: str  # a name of RUNNERS
    label: str  # with the version
    runner: Runner
    x: NDArray[Any]  # one input in the type that this file takes


def measure(
    folder: Path, test: Split | None, runs: int, warmup: int, threads: int
) -> tuple[Measurement, ...]:
    """Everything that can be measured here for the models in ``folder``.

    Args:
        folder: with student.tflite, student.onnx and their float32 twins; those present count.
        test: for accuracy and as input; None: golden inputs, and no accuracy.
        runs: counted inferences per model.
        warmup: inferences before, not counted.
        threads: for every runtime.
    """
    present = tuple(folder / name for name in (*INT8, *FLOAT32) if (folder / name).exists())
    if test is not None:
        sample = to_int8(np.asarray(test.images_NHWC[:1]))
    elif present:
        sample = golden_input(folder)
    else:
        sample = np.zeros((1,), np.int8)
    found = _measure(present, sample, test, runs=runs, warmup=warmup, threads=threads)
    package = folder / COREML
    return (*found, _bytes(package)) if package.exists() else found


def bench_dir(
    path: Path, *, runs: int, warmup: int, threads: int, adaptive: bool = False
) -> tuple[Measurement, ...]:
    """Measures a finished build's folder, or one model with golden.npz beside it, without a data set.

    Args:
        path: of the folder or the model.
        runs: counted inferences per model.
        warmup: inferences before, not counted.
        threads: for every runtime.
        adaptive: as many inferences as the median needs, see ``in_turns``, instead of ``runs``.

    Raises:
        InputError: there is no such path, no model, or no golden.npz to take an input from.
    """
    folder, models = split(path)
    packages = tuple(model for model in models if model.suffix == ".mlpackage")
    runnable = tuple(model for model in models if model.suffix != ".mlpackage" and model.name != C)
    found: tuple[Measurement, ...] = ()
    if runnable:
        x = golden_input(folder)
        found = _measure(runnable, x, None, runs=runs, warmup=warmup, threads=threads, adaptive=adaptive)
    return (*found, *(_bytes(package) for package in packages))


def slower_than_float(
    measurements: Sequence[Measurement], graph: Graph | None = None, threads: int = 1
) -> str | None:
    """A plain warning that names the runtimes in which int8 is not faster than float32.

    Args:
        measurements: of ``measure``.
        graph: the integer graph; with it the operators that cost most are timed alone and named.
        threads: for every runtime.
    """
    medians: dict[tuple[str, bool], float] = {}
    for m in measurements:
        if m.quantity == "latency" and m.value is not None:
            medians[m.runtime, "float32" in m.artifact] = m.value
    slow = [
        (runtime, f"{runtime} ({int8:.3g} ms against {medians[runtime, True]:.3g} ms{{}})")
        for (runtime, is_float), int8 in medians.items()
        if not is_float and (runtime, True) in medians and int8 >= medians[runtime, True]
    ]
    if not slow:
        return None
    where = " and ".join(text.format(_blame(graph, runtime, threads)) for runtime, text in slow)
    return f"int8 is not faster than float32 on this machine in {where}; the target's CPU may differ"


def _blame(graph: Graph | None, runtime: str, threads: int) -> str:
    if graph is None:
        return ""
    worst = slowest(operator_times(graph, runtime.split()[0], threads=threads))
    return f"; most is lost in {', '.join(map(str, worst))}" if worst else "; no operator alone is slower"


def _measure(
    paths: Sequence[Path],
    sample: NDArray[np.int8],
    test: Split | None,
    *,
    runs: int,
    warmup: int,
    threads: int,
    adaptive: bool = False,
) -> tuple[Measurement, ...]:
    device = machine()
    out: list[Measurement] = []
    models = []
    for path in paths:
        runtime = name_for(path)
        assert runtime is not None
        if not RUNNERS[runtime].can_run_here:
            out.append(_not_run(path, runtime, device))
            continue
        models.append(load(path, sample, threads))
    for runtime in dict.fromkeys(model.runtime for model in models):  # int8 and its float32 twin in turns
        pair = [model for model in models if model.runtime == runtime]
        timed = {m.path.name: (m.runner, m.x) for m in pair}
        before = conditions()
        turns = in_turns(timed, None if adaptive else split_evenly(runs), warmup=warmup)
        around = words(before, conditions())
        for m in pair:
            others = [other.path.name for other in pair if other is not m]
            out.append(
                summarise(
                    np.concatenate(turns[m.path.name]),
                    artifact=m.path.name,
                    runtime=m.label,
                    device=device,
                    threads=threads,
                    warmup=warmup,
                    note=f"in turns with {', '.join(others)}" if others else "",
                    isolation=around,
                )
            )
        if len(pair) == 2:  # int8 first: the order of INT8 and FLOAT32
            int8, real = (turns[m.path.name] for m in pair)
            out.append(
                pairs.ratio(
                    int8,
                    real,
                    artifact=pair[0].path.name,
                    against=pair[1].path.name,
                    runtime=pair[0].label,
                    device=device,
                    threads=threads,
                    isolation=around,
                )
            )
    for m in models:
        memory = peak_memory(m.path, m.runtime, shape=m.x.shape, dtype=m.x.dtype.name, threads=threads)
        out.append(memory.model_copy(update={"runtime": m.label}))
    out += [_bytes(path) for path in paths]
    if test is not None:
        out += [_accuracy(m, test, device) for m in models]
    for m in models:
        if "float32" not in m.path.name:
            run, x = m.runner.run, m.x
            out.append(energy(lambda run=run, x=x: run(x), runs=runs, artifact=m.path.name, runtime=m.label))  # type: ignore[misc]
    return tuple(out)


def load(path: Path, sample: NDArray[np.int8], threads: int) -> Loaded:
    """A model that a runtime of this machine takes; ``sample`` [1, ...] in int8."""
    runtime = name_for(path)
    assert runtime is not None
    runner = RUNNERS[runtime].load()(path, threads=threads)
    return Loaded(path, runtime, f"{runtime} {runner.version}", runner, _input(path, sample))


def _input(path: Path, sample: NDArray[np.int8]) -> NDArray[Any]:
    """One input in the type that the file takes: int8 as it is, float32 as real values."""
    if "float32" in path.name:
        return np.asarray(sample[:1] / REAL_STEP, np.float32)
    return sample[:1]


def golden_input(folder: Path) -> NDArray[np.int8]:
    """The first of a folder's golden inputs, [1, ...].

    Raises:
        InputError: there is no golden.npz.
    """
    path = folder / GOLDEN
    if not path.exists():
        raise InputError(
            f"there is no {GOLDEN}, so there is no input to run",
            where=str(folder),
            fix="copy it from the build's folder",
        )
    return golden.load(path).inputs[:1]


def _accuracy(model: Loaded, test: Split, device: str) -> Measurement:
    prepare = to_real if model.x.dtype == np.float32 else to_int8
    share, _ = top1(model.runner.run, test.images_NHWC, test.labels, prepare=prepare)
    return Measurement(
        quantity="accuracy",
        value=share,
        unit="share",
        how="measured",
        artifact=model.path.name,
        runtime=model.label,
        device=device,
        count=len(test),
        note="top-1 on the test images",
    )


def _bytes(path: Path) -> Measurement:
    return Measurement(
        quantity="model_bytes", value=float(size_of(path)), unit="bytes", how="measured", artifact=path.name
    )


def _not_run(path: Path, runtime: str, device: str) -> Measurement:
    return Measurement(
        quantity="latency",
        value=None,
        unit="ms",
        how="not run",
        artifact=path.name,
        runtime=runtime,
        device=device,
        note=f"{runtime} is not installed here",
    )
