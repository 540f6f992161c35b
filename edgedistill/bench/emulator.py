"""Chooses a target's emulator: firmware of a microcontroller, or Linux on a 64-bit Arm."""

from __future__ import annotations

from dataclasses import replace

from edgedistill.bench import arm_linux, emulated
from edgedistill.bench.files import split
from edgedistill.bench.places import Found, Request
from edgedistill.errors import InputError


def bench(request: Request) -> Found:
    """Instructions, memory and bytes on the emulator of the target, or of the target that was built for.

    Raises:
        InputError: no target is known, it has no emulator, or as ``bench_c`` and ``arm_linux.bench``.
        GateError: compiler, emulator or a model fail.
    """
    request = _with_device(request)
    device = request.needs_device("raspberry-pi-5")
    if device.default_runner != "cortex-m":
        if request.mix:
            fix = "leave it out, or name a microcontroller, such as --target cortex-m4"
            raise InputError(f"{device.title} is no microcontroller", where="--mix", fix=fix)
        return _arm_linux(request, quick=False)
    if request.cpu is not None:
        fix = f"leave it out; {device.title} has its own emulator"
        raise InputError("--cpu chooses among 64-bit Arms", where="--cpu", fix=fix)
    folder, _ = split(request.path)
    found = emulated.bench_c(folder, device, cc=request.cc, trust=request.trust)
    return Found(found.measurements, (found.parity,), remedy=emulated.REMEDY, mix=found.mix)


def quick(request: Request) -> Found:
    """Bytes alone, of a 64-bit Arm in QEMU's user mode.

    Raises:
        InputError, GateError: as ``arm_linux.bench``.
    """
    return _arm_linux(_with_device(request), quick=True)


def _with_device(request: Request) -> Request:
    folder, _ = split(request.path)
    return replace(request, device=request.device or emulated.device_of(folder))


def _arm_linux(request: Request, *, quick: bool) -> Found:
    device = request.needs_device("raspberry-pi-5")
    found = arm_linux.bench(
        request.path, device, cpu=request.cpu, threads=request.threads_or_default, quick=quick
    )
    remedy = "choose the runtime of a file that is identical, and report the difference"
    return Found(found.measurements, found.parity, remedy=remedy)
