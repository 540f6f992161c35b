"""Proves and counts a build's .tflite and .onnx files on an emulated 64-bit Arm Linux.

Instructions and memory are the emulated system's. No time is given: the emulator knows none of a device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.bench.accuracy import REAL_STEP
from edgedistill.bench.compare import compared
from edgedistill.bench.files import GOLDEN, split
from edgedistill.errors import GateError, InputError
from edgedistill.ir import golden
from edgedistill.record import Measurement, Parity
from edgedistill.runners import aarch64, aarch64_system
from edgedistill.runners.aarch64_system import Counted, Task
from edgedistill.target import Target

RUNTIMES: dict[str, aarch64_system.Runtime] = {".tflite": "litert", ".onnx": "onnxruntime"}
COUNTED = {"instructions": "instructions", "peak_memory": "bytes"}  # quantity: unit


@dataclass(frozen=True)
class OnArmLinux:
    """A row of answers for each int8 file, and what each file took."""

    parity: tuple[Parity, ...]
    measurements: tuple[Measurement, ...]


def bench(
    path: Path, device: Target, *, cpu: str | None = None, threads: int = 1, quick: bool = False
) -> OnArmLinux:
    """Runs a build's folder, or one model with golden.npz beside it, on golden inputs.

    Args:
        path: as ``files.split`` takes it.
        device: a 64-bit Arm.
        cpu: a name of ``aarch64_system.CPUS``; None: the device's, or the nearest.
        threads: of the runtimes.
        quick: answers alone, in QEMU's user mode.

    Raises:
        UnknownNameError: no such ``cpu``.
        InputError: the device is no 64-bit Arm, or there is no model or no golden.npz.
        GateError: a model does not run there.
    """
    if aarch64.architecture(device) is None:
        raise InputError(
            f"the emulated Linux is a 64-bit Arm, {device.title} is {device.isa.value}",
            where=f"--on {'qemu-user' if quick else 'emulator'}",
            fix="name a target with 64-bit Arm, such as --target raspberry-pi-5",
        )
    cpu = cpu or aarch64_system.cpu_of(device)
    aarch64_system.check_cpu(cpu)
    folder, models = split(path)
    runnable = [model for model in models if model.suffix in RUNTIMES]
    if not runnable:
        raise InputError(
            "there is no .tflite and no .onnx file", where=str(folder), fix="build with --formats tflite,onnx"
        )
    vectors = golden.load(folder / GOLDEN)
    tasks = _tasks(runnable, vectors.inputs, threads)
    reason = _reason_not_runnable(quick)
    if reason is not None:
        parity, measurements = _not_run(tasks, device, cpu, reason)
        return OnArmLinux(parity, () if quick else measurements)
    found = (aarch64_system.answers if quick else aarch64_system.run)(tasks, cpu=cpu)
    where = f"emulated {cpu}, {aarch64_system.version(quick)}"
    parity = tuple(_parity(one, vectors, where) for one in found if not _is_float(one.model))
    measurements = () if quick else tuple(row for one in found for row in _counted(one, device, where))
    return OnArmLinux(parity, measurements)


def _tasks(models: Sequence[Path], inputs: NDArray[np.int8], threads: int) -> tuple[Task, ...]:
    return tuple(
        Task(
            model,
            RUNTIMES[model.suffix],
            inputs=np.asarray(inputs[:1] / REAL_STEP, np.float32) if _is_float(model) else inputs,
            alone=True,
            threads=threads,
        )
        for model in models
    )


def _is_float(model: Path) -> bool:
    return "float32" in model.name


def _reason_not_runnable(quick: bool) -> str | None:
    """Also tries to gather the system's files, which can fail where there is no network."""
    reason = aarch64.missing(aarch64.QEMU) if quick else aarch64_system.missing()
    if reason is not None:
        return reason
    try:
        aarch64_system.gather()
    except GateError as error:
        return error.what
    return None


def _parity(found: Counted, vectors: golden.Golden, where: str) -> Parity:
    assert found.outputs is not None, "the inputs were given"
    note = f"{len(vectors.inputs)} golden inputs"
    return compared(
        vectors.outputs, found.outputs, found.model, f"{found.runtime} on {where}", "emulated", note
    )


def _counted(found: Counted, device: Target, where: str) -> Iterator[Measurement]:
    assert found.peak_bytes is not None and found.baseline_bytes is not None, "the task was alone"
    runs = len(found.instructions)
    most = max(found.instructions)
    rows = {
        "instructions": (
            found.least,
            f"outside the kernel, called from Python: the least of {runs}, up to {most - found.least:,} more",
        ),
        "peak_memory": (
            max(0, found.peak_bytes - found.baseline_bytes),
            f"VmHWM beyond {found.baseline_bytes:,} bytes with the runtime and without the model",
        ),
    }
    for quantity, (value, note) in rows.items():
        yield Measurement(
            quantity=quantity,
            value=float(value),
            unit=COUNTED[quantity],
            how="emulated",
            artifact=found.model.name,
            runtime=f"{found.runtime} on {where}",
            device=device.title,
            count=runs if quantity == "instructions" else 1,
            p50=found.median if quantity == "instructions" else None,
            threads=found.threads,
            note=note,
        )


def _not_run(
    tasks: Sequence[Task], device: Target, cpu: str, reason: str
) -> tuple[tuple[Parity, ...], tuple[Measurement, ...]]:
    parity = tuple(
        Parity(
            runtime=f"{task.runtime} on emulated {cpu}",
            artifact=task.model.name,
            how="not run",
            note=reason,
        )
        for task in tasks
        if not _is_float(task.model)
    )
    rows = tuple(
        Measurement(
            quantity=quantity,
            value=None,
            unit=unit,
            how="not run",
            artifact=task.model.name,
            runtime=f"{task.runtime} on emulated {cpu}",
            device=device.title,
            note=reason,
        )
        for task in tasks
        for quantity, unit in COUNTED.items()
    )
    return parity, rows
