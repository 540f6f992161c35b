"""Says what else shaped a figure of this machine: clock, heat, other work, and the cores it was left."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
MILLI = 1_000  # the kernel's thermal zones are in thousandths of a degree, its clocks in kHz
BUSY = 0.25  # of a core: above it other work shares the caches and the clock
STEP = 0.05  # of the clock: what it may move between two readings and still be called steady


@dataclass(frozen=True)
class Conditions:
    """What the system told at one moment; None: it does not tell.

    Sources: the kernel's Documentation/admin-guide/pm/cpufreq.rst (``scaling_governor``,
    ``scaling_cur_freq``), Documentation/driver-api/thermal/sysfs-api.rst (``temp``) and
    arch/x86/kernel/cpu/mce/therm_throt.c (``core_throttle_count``).
    """

    cores: int  # that this process may use
    cores_of: int  # that the machine has
    governor: str | None = None
    clock_mhz: float | None = None
    degrees: float | None = None  # Celsius, the hottest zone
    load: float | None = None  # runnable processes, mean of the last minute
    throttled: int | None = None  # times the clock was lowered for heat, since the machine started


def conditions(root: Path = ROOT) -> Conditions:
    """As they are now.

    Args:
        root: above ``sys`` and ``proc``.
    """
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    count = os.cpu_count() or 1
    used = [root / f"sys/devices/system/cpu/cpu{cpu}" for cpu in cpus or range(count)]
    governors = sorted({text for cpu in used if (text := _text(cpu / "cpufreq/scaling_governor"))})
    clocks = [mhz / MILLI for cpu in used if (mhz := _number(cpu / "cpufreq/scaling_cur_freq")) is not None]
    zones = (root / "sys/class/thermal").glob("thermal_zone*/temp")
    heats = [milli / MILLI for zone in zones if (milli := _number(zone)) is not None]
    counts = [n for cpu in used if (n := _number(cpu / "thermal_throttle/core_throttle_count")) is not None]
    load = _text(root / "proc/loadavg")
    return Conditions(
        cores=len(cpus) or count,
        cores_of=count,
        governor="+".join(governors) or None,
        clock_mhz=max(clocks, default=None),
        degrees=max(heats, default=None),
        load=float(load.split()[0]) if load else None,
        throttled=int(sum(counts)) if counts else None,
    )


def words(before: Conditions, after: Conditions) -> str:
    """A short note for a measurement between two moments; what the system does not tell is named, too."""
    parts = [f"{after.cores} of {after.cores_of} cores"]
    if before.load is not None:
        busy = before.load > BUSY  # before: afterwards the measurement itself is in the mean
        parts.append(f"load {before.load:.2f} before{' (other work was running)' if busy else ''}")
    if after.governor is not None:
        parts.append(f"governor {after.governor}")
    if before.clock_mhz is not None and after.clock_mhz is not None:
        low, high = sorted((before.clock_mhz, after.clock_mhz))
        steady = high - low <= STEP * high
        parts.append(f"{high:.0f} MHz" if steady else f"{low:.0f} to {high:.0f} MHz")
    if after.degrees is not None:
        parts.append(f"{after.degrees:.0f} °C")
    if before.throttled is not None and after.throttled is not None:
        times = after.throttled - before.throttled
        parts.append(f"throttled {times} times" if times else "not throttled")
    unknown = [
        name
        for name, value in (
            ("clock", after.clock_mhz),
            ("temperature", after.degrees),
            ("throttling", after.throttled),
        )
        if value is None
    ]
    if unknown:
        parts.append(f"{', '.join(unknown)} not told")
    return "; ".join(parts)


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):  # not Linux, a virtual machine, or not permitted: it is not told
        return path.read_text(encoding="ascii", errors="replace").strip()
    return ""


def _number(path: Path) -> float | None:
    with contextlib.suppress(ValueError):
        return float(_text(path))
    return None
