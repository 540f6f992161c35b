"""Measures a student's energy per inference from a phone's battery, beyond what the phone takes idle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from edgedistill.bench.files import C
from edgedistill.record import Measurement
from edgedistill.runners import battery
from edgedistill.runners.adb import Phone
from edgedistill.runners.battery import HZ, PHASE_S, ROUNDS, Power, Sampled

LEAST_SAMPLES = 5  # of each phase, after the gauge has settled


@dataclass(frozen=True)
class Asked:
    """Where the phone's /sys begins, and how long idle times and loads are."""

    root: str = ""
    rounds: int = ROUNDS
    phase_s: float = PHASE_S


def energy(phone: Phone, folder: PurePosixPath, asked: Asked, runtime: str, device: str) -> Measurement:
    """Millijoules per inference of the program in ``folder``, or how='not run' with the reason.

    Raises:
        GateError: the program fails, or the phone is lost, full, or hangs.
    """
    reason = battery.reason_not_measurable(phone, asked.root)
    if reason is None:
        sampled = battery.sample(phone, folder, asked.root, rounds=asked.rounds, phase_s=asked.phase_s)
        found = of(sampled)
        if not isinstance(found, str):
            return _row(found, sampled, runtime, device)
        reason = found
    return Measurement(
        quantity="energy",
        value=None,
        unit="mJ",
        how="not run",
        artifact=C,
        runtime=runtime,
        device=device,
        note=f"not measured: {reason}",
    )


@dataclass(frozen=True)
class Energy:
    """Of each round: mJ per inference beyond idle, and the watts under load and idle."""

    each_mj: tuple[float, ...]
    load_watts: tuple[float, ...]
    idle_watts: tuple[float, ...]
    inferences: int


def of(sampled: Sampled) -> Energy | str:
    """Mean power under each load less that of the idle time before it, by the program's time per inference.

    In words, why it cannot be told.
    """
    reason = battery.reason_not_usable(sampled.samples)
    if reason is not None:
        return reason
    phases = {one.phase: one for one in battery.power(sampled.samples)}
    each, loads, idles = [], [], []
    for number, load in enumerate(sampled.loads):
        idle, busy = phases.get(f"idle.{number}"), phases.get(f"load.{number}")
        if idle is None or busy is None or min(len(idle.watts), len(busy.watts)) < LEAST_SAMPLES:
            return f"the battery gave fewer than {LEAST_SAMPLES} samples in round {number + 1}"
        idles.append(_mean_watts(idle))
        loads.append(_mean_watts(busy))
        each.append(1e3 * (loads[-1] - idles[-1]) * load.seconds / load.runs)
    if float(np.median(each)) <= 0:
        words = f"{np.median(loads):.3g} W under load, {np.median(idles):.3g} W idle"
        return f"the load takes no more power than the phone does idle ({words})"
    return Energy(tuple(each), tuple(loads), tuple(idles), sum(load.runs for load in sampled.loads))


def _mean_watts(one: Power) -> float:
    """Over time: the trapezoids under the samples, by the time from the first to the last."""
    times, watts = np.array(one.times_s), np.array(one.watts)
    span = float(times[-1] - times[0])
    if span <= 0:
        return float(watts.mean())
    return float((np.diff(times) * (watts[1:] + watts[:-1]) / 2).sum()) / span


def _row(found: Energy, sampled: Sampled, runtime: str, device: str) -> Measurement:
    ampere, _ = battery.units(sampled.samples)
    unit = "mA, not the µA of the kernel's ABI" if ampere == 1e-3 else "µA"
    return Measurement(
        quantity="energy",
        value=float(np.median(found.each_mj)),
        unit="mJ",
        how="measured",
        artifact=C,
        runtime=runtime,
        device=device,
        count=found.inferences,
        p50=float(np.median(found.each_mj)),
        threads=1,
        note=f"whole phone beyond idle, from its battery's current ({unit}) and voltage at {HZ} Hz: "
        f"median of {len(found.each_mj)} rounds, {min(found.each_mj):.3g} to {max(found.each_mj):.3g} mJ; "
        f"{np.median(found.load_watts):.3g} W under load, {np.median(found.idle_watts):.3g} W idle",
    )
