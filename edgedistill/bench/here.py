"""Measures a finished build on this machine, and its firmware on the target's emulator beside it."""

from __future__ import annotations

from edgedistill.bench import emulated
from edgedistill.bench.files import GRAPH, split
from edgedistill.bench.measure import bench_dir, slower_than_float
from edgedistill.bench.places import Found, Request
from edgedistill.errors import InputError
from edgedistill.ir import serial


def bench(request: Request) -> Found:
    """Latency, memory and size here; of a microcontroller's build, what its emulator counts as well.

    Raises:
        InputError: there is no model that anything here runs, or as ``bench_dir`` and ``bench_c``.
        GateError: as ``bench_c``.
    """
    device, threads = request.device, request.threads_or_default
    folder, _ = split(request.path)
    firmware = None
    if device is not None and device.default_runner == "cortex-m":  # first: it fails sooner
        firmware = emulated.bench_c(folder, device, cc=request.cc, trust=request.trust)
    found = bench_dir(
        request.path,
        runs=request.runs,
        warmup=request.warmup,
        threads=threads,
        adaptive=request.adaptive,
    )
    if firmware is not None:
        return Found((*found, *firmware.measurements), (firmware.parity,), remedy=emulated.REMEDY)
    graph = serial.load(folder / GRAPH) if (folder / GRAPH).exists() else None
    if device is not None and device.npu is not None and graph is not None:
        from edgedistill.bench import npu

        found = (*found, *npu.on_npu(graph, device))
    if not found:
        raise InputError(
            "C files alone are measured on a device",
            where=str(request.path),
            fix="name an emulated one (--target cortex-m4 --trust), or a board (--on serial:PORT)",
        )
    slower = slower_than_float(found, graph, threads)
    elsewhere = () if device is None else (_elsewhere(device.title),)
    return Found(found, warnings=(slower,) if slower else (), notes=elsewhere)


def _elsewhere(title: str) -> str:
    return f"measured on this machine; for figures of a {title}, run this there"
