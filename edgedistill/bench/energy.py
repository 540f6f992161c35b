"""Measures energy per inference where the CPU has a meter that may be read, and says so where not."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

from edgedistill.bench.machine import machine
from edgedistill.record import Measurement

POWERCAP = Path("/sys/class/powercap")


def reason_not_measurable(powercap: Path = POWERCAP) -> str | None:
    """Why energy cannot be measured here, or None when it can."""
    meters = sorted(powercap.glob("intel-rapl:*/energy_uj"))  # AMD's meters have the same name in Linux
    if not meters:
        return "this machine shows no energy meter (RAPL)"
    if not any(os.access(meter, os.R_OK) for meter in meters):
        return "the energy meter (RAPL) may be read by root only"
    if importlib.util.find_spec("zeus") is None:
        return "the meter is readable, but the package zeus is not installed (pip install zeus)"
    return None


def energy(
    run: Callable[[], object], *, runs: int, artifact: str, runtime: str, powercap: Path = POWERCAP
) -> Measurement:
    """Millijoules of the whole CPU package per call of ``run`` (idle power included), or how='not run'."""
    reason = reason_not_measurable(powercap)
    if reason is not None:
        return Measurement(
            quantity="energy",
            value=None,
            unit="mJ",
            how="not run",
            artifact=artifact,
            runtime=runtime,
            device=machine(),
            note=f"not measured here: {reason}",
        )
    monitor = importlib.import_module("zeus.monitor").ZeusMonitor(gpu_indices=[])
    monitor.begin_window("inference")
    for _ in range(runs):
        run()
    joules = monitor.end_window("inference").cpu_energy
    return Measurement(
        quantity="energy",
        value=1e3 * float(sum((joules or {}).values())) / runs,
        unit="mJ",
        how="measured",
        artifact=artifact,
        runtime=runtime,
        device=machine(),
        count=runs,
        note="whole CPU package (RAPL through zeus), idle power included",
    )
