"""Runs .tflite and .onnx files in the runtimes' own wheels on an emulated 64-bit Arm Linux.

Debian's kernel boots in QEMU's system mode, and the kernel's counter (perf_event_open) is read around each
inference. QEMU knows no cycles, caches or pipelines: an instruction is no time, and its own speed says
nothing of a device's.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from edgedistill.errors import InputError, UnknownNameError
from edgedistill.runners import aarch64
from edgedistill.runners.aarch64_system import boot, sysroot
from edgedistill.runners.aarch64_system.job import Counted, Runtime, Task
from edgedistill.runners.aarch64_system.sysroot import Sysroot
from edgedistill.target import Target

__all__ = [
    "CPUS",
    "Counted",
    "Runtime",
    "Task",
    "answers",
    "cached",
    "check_cpu",
    "count",
    "cpu_of",
    "gather",
    "missing",
    "reason_not_runnable",
    "run",
    "version",
]

CPUS: Mapping[str, str] = MappingProxyType(
    {
        "cortex-a53": "Armv8.0, in order",
        "cortex-a72": "Armv8.0, out of order",
        "cortex-a76": "Armv8.2 with dot products",
    }
)
"""QEMU's names. The runtimes choose other kernels on each."""

_WITH, _WITHOUT = "cortex-a76", "cortex-a53"  # dot products


def count(
    models: Sequence[Path], *, cpu: str, runtime: Runtime, threads: int = 1, seed: int = 0
) -> tuple[Counted, ...]:
    """Instructions of one inference of each model, all in one boot, on random inputs of their own shapes.

    Args:
        models: .tflite files for ``litert``, .onnx files for ``onnxruntime``.
        cpu: a name of ``CPUS``.
        runtime: that loads them.
        threads: of the runtime, and cores of the machine; with more than one the counts vary.
        seed: of the inputs.

    Raises:
        UnknownNameError: no such cpu.
        InputError: QEMU is not installed, or a model cannot be read.
        GateError: the system's files cannot be had, the emulator fails, or a model does not run.
    """
    return run([Task(path, runtime, threads=threads, seed=seed) for path in models], cpu=cpu)


def run(tasks: Sequence[Task], *, cpu: str) -> tuple[Counted, ...]:
    """As ``count``, with inputs and answers, and peak memory of the tasks that are alone."""
    _check(tasks, cpu)
    reason = missing()
    if reason is not None:
        raise InputError(reason, where="an emulated 64-bit Arm Linux")
    return boot.run(sysroot.get(), tasks, cpu=cpu)


def answers(tasks: Sequence[Task], *, cpu: str) -> tuple[Counted, ...]:
    """What the models answer, in QEMU's user mode: quick, and neither instructions nor memory.

    Raises:
        UnknownNameError, InputError, GateError: as ``count``.
    """
    _check(tasks, cpu)
    reason = aarch64.missing(aarch64.QEMU)
    if reason is not None:
        raise InputError(reason, where="programs for 64-bit Arm")
    return boot.run_in_user_mode(sysroot.get(), tasks, cpu=cpu)


def cpu_of(device: Target) -> str:
    """The emulated processor that is most like a 64-bit Arm's: its own, or one with the same instructions."""
    assert aarch64.architecture(device) is not None, f"{device.name} is no 64-bit Arm"
    own = device.cpu.value if device.cpu is not None else ""
    has = device.features.value if device.features is not None else ()
    return own if own in CPUS else _WITH if "dotprod" in has else _WITHOUT


def missing() -> str | None:
    """What to install for the emulator, or None where it is here."""
    if shutil.which(boot.QEMU) is not None:
        return None
    return f"there is no {boot.QEMU} here (Debian: apt-get install {boot.PACKAGE})"


def reason_not_runnable() -> str | None:
    """Why nothing can be emulated here, or None: the files are cached, or can be asked of apt and pip."""
    return missing() or (None if sysroot.find() is not None else sysroot.reason_not_gatherable())


def cached() -> Sysroot | None:
    """The gathered system, if it is here."""
    return sysroot.find()


def gather() -> Sysroot:
    """The system's files, downloaded if they were not.

    Raises:
        GateError: apt or pip cannot give them.
    """
    return sysroot.get()


def version(user_mode: bool = False) -> str:
    """Of the emulator: ``qemu 7.2.17``."""
    return boot.version(aarch64.QEMU if user_mode else boot.QEMU)


def check_cpu(name: str) -> None:
    """An unknown name is an error that offers the nearest."""
    if name not in CPUS:
        raise UnknownNameError("emulated processor", name, CPUS)


def _check(tasks: Sequence[Task], cpu: str) -> None:
    check_cpu(cpu)
    for task in tasks:
        if not task.model.is_file():
            raise InputError(
                "there is no such model", where=str(task.model), fix="give a .tflite or .onnx file"
            )
