"""The table of ways to measure designed networks: which runtime where, and in which unit."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgedistill import runners
from edgedistill.errors import GateError
from edgedistill.export import EXPORTERS, c
from edgedistill.export.metadata import Metadata
from edgedistill.ir.graph import Graph
from edgedistill.runners import aarch64, aarch64_system, c_here, c_program, cortex_m
from edgedistill.runners.cortex_m import laps
from edgedistill.runners.cortex_m.qemu import version as qemu_version
from edgedistill.runners.cortex_m.toolchain import OPTIMISED, flags
from edgedistill.target import Runtime, Target

Place = Literal["emulator", "local"]
Int8 = NDArray[np.int8]

ROUNDS = 5  # in which networks take turns, so that what else the machine does falls on all alike
SAMPLE_MS = 40.0  # of one network in one round
_TOGETHER = 16  # networks that are measured at a time, and lost by a kill
_IN_ONE_BOOT = 32  # of a Linux, which takes as long as ten of them


@dataclass(frozen=True)
class Measured:
    """``values``: around the steps, then of each step; or a single one, of the whole inference."""

    values: tuple[float, ...]
    spread: float = 0.0  # (90th percentile - 10th) / median


Measure = Callable[[Sequence[Graph], Target], Iterator[tuple[Measured, ...]]]


@dataclass(frozen=True)
class Measurer:
    """A row. ``scale``: of the networks; ``why_not``: why a device cannot be measured so, or None."""

    quantity: Literal["instructions", "latency"]
    scale: int
    measure: Measure
    why_not: Callable[[Target], str | None]
    software: Callable[[Target], str]
    machine: Callable[[Target], str] | None = None  # None: this machine


def _metadata(name: str) -> Metadata:
    return Metadata(name, "designed network", (), 1.0, 0, "0")


def _laps(graphs: Sequence[Graph], device: Target) -> Iterator[tuple[Measured, ...]]:
    models = [c.to_text(graph, _metadata(graph.name)) for graph in graphs]
    for start in range(0, len(models), _TOGETHER):
        for found in laps.count(models[start : start + _TOGETHER], device):
            yield tuple(Measured((lap.before + lap.after, *lap.steps)) for lap in found)


def _counted(name: Literal["litert", "onnxruntime"]) -> Measure:
    """Instructions of a runtime's own wheel on an emulated 64-bit Arm."""

    def measure(graphs: Sequence[Graph], device: Target) -> Iterator[tuple[Measured, ...]]:
        for start in range(0, len(graphs), _IN_ONE_BOOT):
            with tempfile.TemporaryDirectory() as temporary:
                together = graphs[start : start + _IN_ONE_BOOT]
                paths = [_exported(name, graph, Path(temporary)) for graph in together]
                cpu = aarch64_system.cpu_of(device)
                found = aarch64_system.count(paths, cpu=cpu, runtime=name)
                yield tuple(Measured((float(np.median(one.instructions)),)) for one in found)

    return measure


def _no_arm(device: Target) -> str | None:
    if aarch64.architecture(device) is None:
        return f"{device.title} is no 64-bit Arm, and of others no system is emulated"
    if device.features is not None and "i8mm" in device.features.value:
        return "no emulated 64-bit Arm multiplies matrices (i8mm), and runtimes choose other kernels with it"
    return aarch64_system.reason_not_runnable()


def _arm(device: Target) -> str:
    return f"{aarch64_system.cpu_of(device)} ({aarch64_system.version()})"


def _emulator(device: Target) -> str:
    assert device.emulator is not None
    return f"{device.emulator.value} ({qemu_version()})"


def _gcc(device: Target) -> str:
    return " ".join((cortex_m.compiler_name(cortex_m.CC), *flags(device), *OPTIMISED))


def other_machine(device: Target) -> str | None:
    """Whether this machine is not of a device's kind."""
    here = platform.machine().lower()
    names = {"x86_64": "x86-64", "amd64": "x86-64", "aarch64": "AArch64", "arm64": "AArch64"}
    if names.get(here, here).lower() in device.isa.value.lower():
        return None
    return f"this machine is {here}, and {device.title} is {device.isa.value}: run the command on the device"


def _no_runtime(name: str) -> Callable[[Target], str | None]:
    def why(device: Target) -> str | None:
        if not runners.row_for(name).can_run_here:
            return f"{name} is not installed here (see `edgedistill doctor`)"
        return other_machine(device)

    return why


def _version(name: str) -> Callable[[Target], str]:
    def text(_: Target) -> str:
        from importlib import metadata

        library = runners.row_for(name).library or name
        package = library.partition(".")[0].replace("_", "-")
        return f"{package} {metadata.version(package)}, 1 thread"

    return text


Timed = Callable[[int, int], NDArray[np.float64]]  # runs and warm-up: times in ms


def _timed(name: str) -> Measure:
    """Medians of ``ROUNDS`` rounds in which the networks take turns."""

    def measure(graphs: Sequence[Graph], _: Target) -> Iterator[tuple[Measured, ...]]:
        for start in range(0, len(graphs), _TOGETHER):
            with tempfile.TemporaryDirectory() as temporary:
                together = graphs[start : start + _TOGETHER]
                models = [_loaded(name, graph, Path(temporary)) for graph in together]
                yield in_turns(models, ROUNDS, SAMPLE_MS)

    return measure


def in_turns(models: Sequence[Timed], rounds: int, sample_ms: float) -> tuple[Measured, ...]:
    """Medians and spreads of models' times.

    Raises:
        GateError: a time that is none.
    """
    runs = []
    for timed in models:
        first = float(np.median(timed(3, 2)))
        runs.append(int(np.clip(sample_ms / max(first, 1e-6), 5, 400)))
    samples: list[list[NDArray[np.float64]]] = [[] for _ in models]
    for _ in range(rounds):
        for i, timed in enumerate(models):
            samples[i].append(timed(runs[i], 2))
    found = []
    for parts in samples:
        low, median, high = np.percentile(np.concatenate(parts), (10, 50, 90))
        if not (np.isfinite(median) and median > 0):
            raise GateError(f"a latency of {median} ms was measured", fix="check the machine's clock")
        found.append(Measured((float(median),), float((high - low) / median)))
    return tuple(found)


def _loaded(name: str, graph: Graph, folder: Path) -> Timed:
    shape = graph.tensors[graph.inputs[0]].shape
    x = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
    if name == "c":
        c.write(graph, _metadata(graph.name), folder / graph.name)
        cc = c_here.compiler()
        assert cc is not None, "reason_not_runnable() says why"

        program = c_program.timer(folder / graph.name, x, (cc, *c_program.FLAGS))
        return lambda runs, warmup: c_program.latency_ms(program, runs=runs, warmup=warmup)
    runner = runners.row_for(name).load()(_exported(name, graph, folder), threads=1)
    return lambda runs, warmup: runner.latency_ms(x, runs=runs, warmup=warmup)


def _exported(name: str, graph: Graph, folder: Path) -> Path:
    """The file of a network that a runtime takes."""
    exporter = EXPORTERS["tflite" if name == "litert" else "onnx"]
    path = exporter.path(folder, graph.name)
    exporter.write(graph, _metadata(graph.name), path)
    return path


MEASURERS: Mapping[tuple[Place, Runtime], Measurer] = MappingProxyType(
    {
        ("emulator", "c"): Measurer(
            "instructions", 1, _laps, cortex_m.reason_not_runnable, _gcc, machine=_emulator
        ),
        ("emulator", "litert"): Measurer(
            "instructions", 2, _counted("litert"), _no_arm, _version("litert"), machine=_arm
        ),
        ("emulator", "onnxruntime"): Measurer(
            "instructions", 2, _counted("onnxruntime"), _no_arm, _version("onnxruntime"), machine=_arm
        ),
        ("local", "litert"): Measurer(
            "latency", 2, _timed("litert"), _no_runtime("litert"), _version("litert")
        ),
        ("local", "onnxruntime"): Measurer(
            "latency", 2, _timed("onnxruntime"), _no_runtime("onnxruntime"), _version("onnxruntime")
        ),
        ("local", "c"): Measurer(
            "latency",
            1,
            _timed("c"),
            lambda device: c_here.reason_not_runnable() or other_machine(device),
            lambda _: " ".join((c_program.version(c_here.compiler() or "cc"), *c_program.FLAGS)),
        ),
    }
)
"""By place and runtime."""
