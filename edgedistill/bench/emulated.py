"""Runs a build's C files on this machine, on an emulated 64-bit Arm, and as firmware on an emulated Cortex-M.

Instructions are counted by the emulator. Time and energy are estimates from them, where a target
file states its board's cycles per instruction and energy per cycle; they say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill import record as records
from edgedistill import target as targets
from edgedistill.bench import instruction_mix
from edgedistill.bench.compare import compared
from edgedistill.bench.files import GOLDEN, GRAPH, RECORD, C
from edgedistill.errors import InputError
from edgedistill.export.c import project
from edgedistill.ir import golden, interpret, plan, serial
from edgedistill.ir.graph import Graph
from edgedistill.ir.interpret import Family
from edgedistill.record import Measurement, Parity, PlannedFlash
from edgedistill.runners import aarch64, c_here, c_source, cortex_m
from edgedistill.runners.cortex_m.mix import Mix
from edgedistill.target import Target
from edgedistill.units import format_hz

Int8 = NDArray[np.int8]
CAnswers = Future[tuple[Int8, str]]
"""Outputs int8 [N, bytes] of C files on this machine, and the compiler, once they are there."""

REMEDY = "build again; if it stays so, compile the C files with -DEDGE_PORTABLE"
INPUTS = 100  # that a firmware is compared on, at least
MOST_MACS = 50_000_000
"""Of one inference: past this a hundred of them take QEMU many minutes, and its counter may begin again."""

COUNTED = {  # quantity: unit
    "instructions": "instructions",
    "stack_bytes": "bytes",
    "ram_bytes": "bytes",
    "flash_bytes": "bytes",
}


@dataclass(frozen=True)
class OnDevice:
    """One device's rows."""

    parity: Parity
    measurements: tuple[Measurement, ...]
    mix: Mix | None = None  # what its instructions were, function by function, where it was asked for and ran


def start(folder: Path, x: Int8, beside: Executor) -> CAnswers | None:
    """Begins to compile and run ``folder``/c, which takes a while; None: there is no compiler here."""
    return None if c_here.reason_not_runnable() else beside.submit(c_here.run, folder / C, x)


def on_this_machine(folder: Path, x: Int8, expected: Int8, running: CAnswers | None = None) -> Parity:
    """``folder``/c, compiled by this machine's C compiler, against the interpreter's ``expected`` [N, ...].

    Args:
        running: what ``start`` began with the same ``x``.

    Raises:
        InputError: there is no model in C.
        GateError: it cannot be compiled, or does not answer.
    """
    runtime, family = "c on this machine", family_of(folder)
    reason = c_here.reason_not_runnable()
    if reason is not None:
        return Parity(runtime=runtime, artifact=C, family=family, how="not run", note=reason)
    got, compiler = c_here.run(folder / C, x) if running is None else running.result()
    return proof(runtime, "measured", x, expected, got, compiler, family)


def on_64_bit_arm(
    folder: Path, device: Target, x: Int8, expected: Int8, graph: Graph | None = None
) -> Parity:
    """``folder``/c as a program for the device's 64-bit Arm; otherwise as ``on_this_machine``."""
    architecture = aarch64.architecture(device)
    assert architecture is not None, f"{device.name} is no 64-bit Arm"
    runtime, family = f"c on {architecture}", family_of(folder)
    reason = aarch64.reason_not_runnable() or _too_large(graph)
    if reason is not None:
        return Parity(runtime=runtime, artifact=C, family=family, how="not run", note=reason)
    got, compiler = aarch64.run(folder / C, x, architecture=architecture)
    return proof(runtime, "emulated", x, expected, got, compiler, family)


def on_device(
    folder: Path,
    device: Target,
    x: Int8,
    expected: Int8,
    *,
    cc: str = cortex_m.CC,
    graph: Graph | None = None,
    planned: PlannedFlash | None = None,
    mix: bool = False,
) -> OnDevice:
    """``folder``/c as firmware on the device's emulator, against the interpreter's ``expected`` [N, ...].

    Args:
        folder: of a build.
        device: whose flash, RAM and core the firmware is built for.
        x: int8 inputs [N, ...].
        expected: the interpreter's outputs, in the family of the C files.
        cc: GCC for Arm.
        graph: with it, a network too large to emulate is told beforehand.
        planned: of flash, with which the linked bytes are compared.
        mix: adds what the instructions of the first input were.

    Raises:
        InputError: the model does not fit the device, or there is none.
        GateError: compiler or emulator fail.
    """
    runtime = f"c on {device.emulator.value if device.emulator is not None else device.name}"
    family = family_of(folder)
    reason = cortex_m.reason_not_runnable(device, cc) or _too_large(graph)
    if reason is not None:
        rows = tuple(
            Measurement(
                quantity=name,
                value=None,
                unit=unit,
                how="not run",
                artifact=C,
                runtime=runtime,
                device=device.title,
                note=reason,
            )
            for name, unit in COUNTED.items()
        )
        idle = Parity(runtime=runtime, artifact=C, family=family, how="not run", note=reason)
        uncounted = instruction_mix.rows(reason, runtime, device) if mix else ()
        return OnDevice(idle, (*rows, *uncounted))
    found = cortex_m.run(folder / C, device, x, cc=cc)
    runtime = f"{runtime}, {found.emulator}"
    parity = proof(runtime, "emulated", x, expected, found.outputs, found.compiler, family)
    measured = (*_counted(found, runtime, device, planned), *_estimates(found, runtime, device))
    if not mix:
        return OnDevice(parity, measured)
    counts = instruction_mix.count(folder / C, device, x[:1], cc)
    measured = (*measured, *instruction_mix.rows(counts, runtime, device, graph))
    return OnDevice(parity, measured, counts if isinstance(counts, Mix) else None)


def family_of(folder: Path) -> Family:
    """In which arithmetic the C files of a build's folder compute, as their header says."""
    return c_source.find(folder / C).family if c_source.has_c(folder / C) else "F"


def c_vectors(folder: Path) -> golden.Golden:
    """Golden vectors in the family of a folder's C files.

    Raises:
        InputError: they are missing or cannot be read.
    """
    return golden.load(folder / GOLDEN if family_of(folder) == "F" else folder / C / project.GOLDEN)


def with_random(graph: Graph, x: Int8, count: int = INPUTS, family: Family = "F") -> tuple[Int8, Int8]:
    """At least ``count`` inputs, ``x`` first and then random ones, and the interpreter's outputs."""
    missing = count - len(x)
    if missing > 0:
        shape = (missing, *graph.tensors[graph.inputs[0]].shape[1:])
        more = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
        x = np.concatenate([x, more])
    expected = interpret.run_batched(graph, {graph.inputs[0]: x}, family)[graph.outputs[0]]
    return x, np.asarray(expected, np.int8)


def device_of(folder: Path) -> Target | None:
    """The shipped target that a folder was built for; None: none is recorded, or it was the user's own."""
    path = folder / RECORD
    name = records.load(path).target if path.exists() else ""
    return targets.load(name) if name in targets.names() else None


_UNTRUSTED = "to check C files is to compile and run them"


def untrusted(c_folder: Path) -> InputError:
    """A program of somebody else's is not run without the user's word."""
    return InputError(_UNTRUSTED, where=str(c_folder), fix="pass --trust if you built them or trust who did")


def not_trusted() -> Parity:
    """The row of C files that were left alone."""
    return Parity(runtime="c", artifact=C, how="not run", note=f"{_UNTRUSTED}: pass --trust")


def bench_c(folder: Path, device: Target, *, cc: str = cortex_m.CC, trust: bool = False) -> OnDevice:
    """The C files of a finished build on a device's emulator, with golden and random inputs.

    Raises:
        InputError: as ``on_device``, or the folder has no model in C or no golden inputs, or no ``trust``.
        GateError: as ``on_device``.
    """
    if not (folder / C).is_dir():
        raise InputError(
            f"there is no folder {C}/ with a model in C",
            where=str(folder),
            fix=f"build with --target {device.name}, or with --formats c",
        )
    if not trust:
        raise untrusted(folder / C)
    vectors = c_vectors(folder)
    if not (folder / GRAPH).exists():
        return on_device(folder, device, vectors.inputs, vectors.outputs, cc=cc, mix=True)
    graph = serial.load(folder / GRAPH)
    x, expected = with_random(graph, vectors.inputs, family=family_of(folder))
    planned = _planned(folder, device)
    return on_device(folder, device, x, expected, cc=cc, graph=graph, planned=planned, mix=True)


def _planned(folder: Path, device: Target) -> PlannedFlash | None:
    """As the folder's record has it for the same device."""
    found = records.load(folder / RECORD).graph.flash if (folder / RECORD).exists() else None
    return found if found is not None and found.device == device.title else None


def _too_large(graph: Graph | None) -> str | None:
    macs = 0 if graph is None else sum(plan.macs(graph).values())
    return f"{macs:,} MACs are too many to emulate, {MOST_MACS:,} the most" if macs > MOST_MACS else None


def proof(
    runtime: str, how: records.How, x: Int8, expected: Int8, got: Int8, words: str, family: Family
) -> Parity:
    """The row of what C files answered to ``x``, against the interpreter's ``expected`` [N, ...]."""
    size = expected.size // max(1, len(expected))
    same_size = got.shape == (len(expected), size)
    answers = got.reshape(expected.shape) if same_size else got
    return compared(expected, answers, Path(C), runtime, how, f"{len(x)} inputs, {words}", family=family)


def _counted(
    found: cortex_m.Emulated, runtime: str, device: Target, planned: PlannedFlash | None
) -> Iterator[Measurement]:
    least, most = min(found.instructions), max(found.instructions)
    repeated = f", {found.repeat_spread} between repeats" if found.repeat_spread else ", repeated exactly"
    spread = f"{least:,} to {most:,} by input" if least != most else "the same for every input"
    parts = found.model
    beside = f", {planned.beside(found.linked_bytes)}" if planned is not None else ""
    notes = {
        "instructions": (most, f"the most of one inference: {spread}{repeated}; {found.flags}"),
        "stack_bytes": (found.stack_bytes, "the deepest of one inference, on painted memory"),
        "ram_bytes": (
            found.ram_bytes,
            f"arena {found.arena_bytes:,}, stack {found.stack_bytes:,}, variables {parts.data + parts.bss:,}",
        ),
        "flash_bytes": (
            found.linked_bytes,
            f"linked{beside}; compiled: code {parts.text:,}, "
            f"constants {parts.rodata:,}, variables {parts.data:,}; {found.compiler}",
        ),
    }
    for name, (value, note) in notes.items():
        yield Measurement(
            quantity=name,
            value=float(value),
            unit=COUNTED[name],
            how="emulated",
            artifact=C,
            runtime=runtime,
            device=device.title,
            count=len(found.instructions),
            p50=float(np.median(found.instructions)) if name == "instructions" else None,
            note=note,
        )


def _estimates(found: cortex_m.Emulated, runtime: str, device: Target) -> Iterator[Measurement]:
    """Time and energy of the most instructions: the middle of the target's bands, both ends in the note."""
    if device.clock_hz is None:
        return
    count, clock = max(found.instructions), device.clock_hz.value
    cycles, energy = device.cycles_per_instruction, device.picojoules_per_cycle

    def row(quantity: str, unit: str, value: float | None, note: str) -> Measurement:
        return Measurement(
            quantity=quantity,
            value=value,
            unit=unit,
            how="not run" if value is None else "modelled",
            artifact=C,
            runtime=runtime,
            device=device.title,
            note=note,
        )

    if cycles is None:
        reason = "no cycles per instruction were measured on this board (the fact cycles_per_instruction)"
        yield row("estimated_latency", "ms", None, reason)
        return
    low, high = (1e3 * count * c / clock for c in cycles.value)
    basis = f"{cycles.value[0]:g} to {cycles.value[1]:g} cycles per instruction at {format_hz(clock)}"
    yield row(
        "estimated_latency",
        "ms",
        (low + high) / 2,
        f"an estimate, {low:.3g} to {high:.3g} ms: {basis} ({cycles.source})",
    )
    if energy is None:
        reason = "no energy per cycle was measured on this board (the fact picojoules_per_cycle)"
        yield row("estimated_energy", "µJ", None, reason)
        return
    least, most = (1e-6 * count * c * pj for c, pj in zip(cycles.value, energy.value, strict=True))
    basis = f"{basis}, {energy.value[0]:g} to {energy.value[1]:g} pJ per cycle"
    yield row(
        "estimated_energy",
        "µJ",
        (least + most) / 2,
        f"an estimate, {least:.3g} to {most:.3g} µJ: {basis} ({energy.source})",
    )
