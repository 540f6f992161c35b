"""Measures a student's energy per inference from a phone's battery, beyond what the phone takes idle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from edgedistill.bench import statistics
from edgedistill.bench.trace import Energy, Trace, TraceError
from edgedistill.bench.trace import energy as energy_of
from edgedistill.record import Measurement
from edgedistill.runners import battery
from edgedistill.runners.adb import Phone
from edgedistill.runners.battery import HZ, PHASE_S, ROUNDS, Sampled, Work


@dataclass(frozen=True)
class Asked:
    """Where the phone's /sys begins, and how long idle times and loads are."""

    root: str = ""
    rounds: int = ROUNDS
    phase_s: float = PHASE_S


def energy(phone: Phone, folder: PurePosixPath, asked: Asked, work: Work, timed: Measurement) -> Measurement:
    """Millijoules per inference, or how='not run' with the reason.

    Args:
        phone: that has the files of ``work`` in ``folder``.
        folder: on the phone.
        asked: for how long.
        work: what is run.
        timed: the row of the same artifact, runtime and device.

    Raises:
        GateError: the program fails, or the phone is lost, full, or hangs.
    """
    reason = battery.reason_not_measurable(phone, asked.root)
    if reason is None:
        sampled = battery.sample(phone, folder, work, asked.root, rounds=asked.rounds, phase_s=asked.phase_s)
        found = of(sampled)
        if not isinstance(found, str):
            return _row(found, sampled, timed)
        reason = found
    return Measurement(
        quantity="energy",
        value=None,
        unit="mJ",
        how="not run",
        artifact=timed.artifact,
        runtime=timed.runtime,
        device=timed.device,
        note=f"not measured: {reason}",
    )


def of(sampled: Sampled) -> tuple[Energy, ...] | str:
    """Of each round, joules per inference above its own idle time; in words, why it cannot be told."""
    reason = battery.reason_not_usable(sampled.samples)
    if reason is not None:
        return reason
    phases = {one.phase: one for one in battery.power(sampled.samples)}
    found = []
    for number, load in enumerate(sampled.loads):
        idle, busy = phases.get(f"idle.{number}"), phases.get(f"load.{number}")
        if idle is None or busy is None:
            return f"the battery gave no samples in round {number + 1}"
        start, end = busy.times_s[0], busy.times_s[-1]
        inferences = max(1, round((end - start) * load.runs / load.seconds))
        try:
            resting = Trace(idle.times_s, idle.watts)
            found.append(energy_of(Trace(busy.times_s, busy.watts), resting, [start], [end], inferences))
        except TraceError as error:
            return f"round {number + 1} of {len(sampled.loads)}: {error}"
    return tuple(found)


def _row(found: tuple[Energy, ...], sampled: Sampled, timed: Measurement) -> Measurement:
    each = statistics.summary([1e3 * one.each_j[0] for one in found])
    idle = statistics.median([one.idle_w for one in found])
    ampere, _ = battery.units(sampled.samples)
    unit = "mA, not the µA of the kernel's ABI" if ampere == 1e-3 else "µA"
    return Measurement(
        quantity="energy",
        value=each.median,
        unit="mJ",
        how="measured",
        artifact=timed.artifact,
        runtime=timed.runtime,
        device=timed.device,
        count=sum(one.inferences for one in found),
        p50=each.median,
        threads=timed.threads,
        note=f"whole phone above idle, from its battery's current ({unit}) and voltage at {HZ} Hz: median of "
        f"{each.count} rounds{interval(each, 'mJ')}, {each.minimum:.3g} to {each.maximum:.3g} mJ, "
        f"idle {idle:.3g} W, {sum(one.readings for one in found)} readings under load",
    )


def interval(found: statistics.Summary, unit: str) -> str:
    """`` (95 % interval 0.21 to 0.23 ms)``; nothing where there are too few samples for one."""
    if found.low is None or found.high is None:
        return ""
    return f" ({statistics.CONFIDENCE:.0%} interval {found.low:.4g} to {found.high:.4g} {unit})"
