"""Samples a phone's battery, idle and under a load in turns, in one loop on the phone itself.

Nothing is said over the air meanwhile: the samples are in a file until the end. The sampling takes power,
idle and under the load alike, so it goes out of the difference.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from edgedistill.errors import GateError
from edgedistill.runners.adb import Phone

_EACH = "edgedistill-load"
BATTERY = "/sys/class/power_supply/battery"
HZ = 10  # samples a second; gauges have a new value once a second or so
ROUNDS = 6  # the fewest that give their median an interval
PHASE_S = 6.0  # of each idle time and each load
SETTLE_S = 1.5  # at the start of each that is left out: a gauge averages over its last second or so

MA_BELOW = 10_000
"""Currents that never reach this are in mA, though the kernel's ABI says µA: 10 mA is less than any phone
takes that is awake, 10 A more than one gives."""
MV_BELOW = 100_000  # likewise of voltages: 100 mV or 100 V
VOLTS = (2.5, 15.0)  # of one cell that is empty, to three in a row that are full


@dataclass(frozen=True)
class Sample:
    """As the kernel's files say it; ``seconds`` since the phone started."""

    phase: str  # "idle.0", "load.0", "idle.1", ...
    seconds: float
    current: int
    voltage: int
    status: str


@dataclass(frozen=True)
class Power:
    """One phase: watts that the battery gave, at seconds since the phone started."""

    phase: str
    times_s: tuple[float, ...]
    watts: tuple[float, ...]


@dataclass(frozen=True)
class Load:
    """How often a program inferred in one load, and for how long."""

    runs: int
    seconds: float


@dataclass(frozen=True)
class Work:
    """What is run as a load: words of a command, and what its output says; None: it says nothing of it."""

    command: tuple[str, ...]
    read: Callable[[str], Load | None]


@dataclass(frozen=True)
class Sampled:
    """All of a run."""

    samples: tuple[Sample, ...]
    loads: tuple[Load, ...]


def reason_not_measurable(phone: Phone, root: str = "") -> str | None:
    """Why this phone's battery cannot tell a load's energy just now, or None where it can.

    Raises:
        GateError: the phone is lost or hangs.
    """
    files = " ".join(f"{root}{BATTERY}/{name}" for name in ("current_now", "voltage_now", "status"))
    text = (
        f'for f in {files}; do IFS= read -r x < "$f" && echo "$x" || echo -; done; '
        f"for f in {root}/sys/class/power_supply/*/online; do IFS= read -r x < $f && IFS= read -r t < "
        "${f%online}type; "
        'if [ "$x" = 1 ] && [ "$t" != Battery ] && [ "$t" != BMS ]; then echo "online $f"; fi; done; true'
    )
    lines = phone.script(text).out.splitlines()
    values, supplies = lines[:3], [line for line in lines[3:] if line.startswith("online ")]
    if len(values) < 3 or not all(re.fullmatch(r"-?\d{1,12}", value.strip()) for value in values[:2]):
        return f"the phone does not let adb read current_now and voltage_now in {BATTERY}"
    if values[2].strip() != "Discharging":
        return f"the battery is not discharging ({_plain(values[2])}): {_UNPLUG}"
    if supplies:
        names = ", ".join(sorted({_plain(PurePosixPath(line[7:]).parent.name) for line in supplies}))
        return f"the phone is powered from outside ({names}): {_UNPLUG}"
    return None


_UNPLUG = "unplug it and use wireless debugging (adb pair, adb connect)"


def sample(
    phone: Phone,
    folder: PurePosixPath,
    work: Work,
    root: str = "",
    *,
    rounds: int = ROUNDS,
    phase_s: float = PHASE_S,
) -> Sampled:
    """``rounds`` of idle time and of ``work`` in ``folder``, which takes ``phase_s``.

    Raises:
        GateError: the program fails, or the phone is lost, full, or hangs.
    """
    assert 1 <= rounds <= 9, "files are read in the order of their one digit"
    text = f"""cd {folder} || exit 9
one() {{
    read -r u rest < /proc/uptime && read -r c < {root}{BATTERY}/current_now &&
    read -r v < {root}{BATTERY}/voltage_now && read -r s < {root}{BATTERY}/status && echo "$1 $u $c $v $s"
}}
r=0
while [ $r -lt {rounds:d} ]; do
    i=0
    while [ $i -lt {round(HZ * phase_s):d} ]; do one idle.$r; sleep {1 / HZ:g}; i=$((i+1)); done
    ({shlex.join(work.command)} > load.$r 2>&1; echo $? > done.$r) &
    i=0
    while [ ! -s done.$r ] && [ $i -lt {round(5 * HZ * phase_s):d} ]; do
        one load.$r; sleep {1 / HZ:g}; i=$((i+1))
    done
    wait
    r=$((r+1))
done > samples
for f in load.*; do echo {_EACH}; cat $f; done"""
    ended = phone.script(text, seconds=rounds * 8 * phase_s + 30)
    said = ended.out.split(f"{_EACH}\n")[1:]
    loads = tuple(found for text in said if (found := work.read(text)) is not None)
    if ended.code != 0 or len(loads) != rounds:
        raise GateError(
            f"the load on the phone ran {len(loads)} times instead of {rounds}: {ended.last_words}",
            where=phone.serial,
            fix="make room on the phone, close what else runs there, and measure again",
        )
    samples = phone.must(["cat", str(folder / "samples")], "the samples cannot be read")
    return Sampled(tuple(parse(samples)), loads)


_LINE = re.compile(
    r"((?:idle|load)\.\d{1,4}) (\d{1,10}\.\d{1,9}) (-?\d{1,12}) (-?\d{1,12}) ([A-Za-z][A-Za-z ]{0,30})"
)


def parse(text: str) -> list[Sample]:
    """The samples of the loop's lines; a line that is none, as of an unreadable file, is left out."""
    return [
        Sample(found[1], float(found[2]), int(found[3]), int(found[4]), found[5])
        for line in text.splitlines()
        if (found := _LINE.fullmatch(line.strip()))
    ]


def units(samples: Sequence[Sample]) -> tuple[float, float]:
    """Amperes and volts of one step of the sensor: µA and µV by the kernel's ABI, mA and mV elsewhere."""
    ampere = 1e-3 if max(abs(s.current) for s in samples) < MA_BELOW else 1e-6
    volt = 1e-3 if max(abs(s.voltage) for s in samples) < MV_BELOW else 1e-6
    return ampere, volt


def reason_not_usable(samples: Sequence[Sample]) -> str | None:
    """Why samples cannot be trusted: charging, a sensor that stands still or says what cannot be."""
    if not samples:
        return "the battery gave no samples"
    other = next((s.status for s in samples if s.status != "Discharging"), None)
    if other is not None:
        return f"the battery was not discharging all the time ({_plain(other)}): {_UNPLUG}"
    if len({s.current for s in samples}) < 2:
        return f"the sensor of current stands still at {samples[0].current} for {len(samples)} samples"
    if min(s.current for s in samples) < 0 < max(s.current for s in samples):
        return "the current changes its sign while discharging: the phone is charged, or the sensor is wrong"
    _, volt = units(samples)
    worst = max(samples, key=lambda s: abs(s.voltage * volt - sum(VOLTS) / 2))
    if not VOLTS[0] <= worst.voltage * volt <= VOLTS[1]:
        return f"the sensor of voltage says {worst.voltage}, which no phone's battery has"
    return None


def power(samples: Sequence[Sample]) -> tuple[Power, ...]:
    """Watts of each phase in its order, without the time in which the gauge settles.

    The sign is the maker's: negative by the kernel's ABI (Documentation/ABI/testing/sysfs-class-power) and
    Android's BatteryManager, positive in other drivers. ``reason_not_usable`` found it to be one throughout.
    """
    ampere, volt = units(samples)
    starts: dict[str, float] = {}
    kept: dict[str, list[tuple[float, float]]] = {}
    for one in samples:
        start = starts.setdefault(one.phase, one.seconds)
        if one.seconds - start >= SETTLE_S:
            watts = abs(one.current) * ampere * one.voltage * volt
            kept.setdefault(one.phase, []).append((one.seconds, watts))
    return tuple(
        Power(phase, tuple(at for at, _ in found), tuple(w for _, w in found))
        for phase, found in kept.items()
    )


def _plain(text: str) -> str:
    return "".join(c for c in text.strip() if c.isprintable())[:40]
