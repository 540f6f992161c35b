"""Reads a board's power: an INA sensor, the Raspberry Pi 5's power chip, or the processor's own counters."""

from __future__ import annotations

import re
import time
from pathlib import Path

from edgedistill.bench.on_board import facts

INA = re.compile(r"ina(219|220|226|228|230|231|237|238|260)\Z")  # Linux: drivers ina2xx and ina238
_READING = re.compile(r"^\s*(\w+)_([AV])\s+(?:current|volt)\(\d+\)=([0-9.]+)([AV])\s*$", re.MULTILINE)


class Meter:
    """``name`` is what it is, ``sees`` what its watts hold and what they do not."""

    name = ""
    sees = ""

    def watts(self) -> float | None:
        """Now; None: not yet.

        Raises:
            OSError, ValueError: it cannot be read.
        """
        raise NotImplementedError


class Ina(Meter):
    """A sensor on a shunt, through hwmon: power1_input in µW, else in1_input in mV times curr1_input in mA.

    Linux: Documentation/hwmon/ina2xx.rst, ina238.rst and sysfs-interface.rst.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = "{} ({})".format(facts.text(folder / "name"), folder.name)
        self.sees = "all that flows through the sensor's shunt"

    def watts(self) -> float | None:
        power = self._folder / "power1_input"
        if power.exists():
            return int(power.read_text()) / 1e6
        millivolts = int((self._folder / "in1_input").read_text())
        return millivolts * int((self._folder / "curr1_input").read_text()) / 1e6


class Pmic(Meter):
    """The Raspberry Pi 5's power chip (``vcgencmd pmic_read_adc``): volts times amperes, over its rails."""

    name = "PMIC (vcgencmd pmic_read_adc)"
    sees = (
        "the sum over the power chip's rails: not USB, not what hangs on 5 V (fan, HAT), "
        "not the losses before the rails"
    )

    def watts(self) -> float | None:
        answer = facts.vcgencmd("pmic_read_adc")
        if answer is None:
            raise ValueError("vcgencmd pmic_read_adc does not answer")
        return rail_watts(answer)


class Rapl(Meter):
    """The processor's energy counters (Linux: Documentation/power/powercap/powercap.rst), in µJ."""

    name = "RAPL"
    sees = "the processor's packages alone"

    def __init__(self, zones: list[Path]) -> None:
        self._zones = [(zone / "energy_uj", int(facts.text(zone / "max_energy_range_uj"))) for zone in zones]
        self._before: tuple[float, list[int]] | None = None

    def watts(self) -> float | None:
        """The mean since the last look; the counters begin again at their range."""
        now, counts = time.monotonic(), [int(path.read_text()) for path, _ in self._zones]
        before, self._before = self._before, (now, counts)
        if before is None or now <= before[0]:
            return None
        joules = sum(
            counted(old, new, most) / 1e6
            for old, new, (_, most) in zip(before[1], counts, self._zones)  # noqa: B905 (Python 3.9)
        )
        return joules / (now - before[0])


def counted(old: int, new: int, most: int) -> int:
    """What a counter that goes from 0 to ``most`` and begins again has counted, less than once around."""
    return new - old if new >= old else new - old + most + 1


def rail_watts(answer: str) -> float:
    """Watts of all rails that have both an ampere and a volt line.

    Raises:
        ValueError: there is none.
    """
    found: dict[str, dict[str, float]] = {}
    for rail, kind, value, unit in _READING.findall(answer):
        if kind == unit:
            found.setdefault(rail, {})[kind] = float(value)
    pairs = [rail["A"] * rail["V"] for rail in found.values() if len(rail) == 2]
    if not pairs:
        raise ValueError("pmic_read_adc gives no rail with volts and amperes")
    return sum(pairs)


def find(root: Path = Path("/")) -> tuple[Meter | None, list[str]]:
    """The meter that sees most, or why there is none: each kind with its reason."""
    reasons = []
    for look in (_ina, _pmic, _rapl):
        meter, reason = look(root)
        if meter is not None:
            return meter, []
        reasons.append(reason)
    return None, reasons


def _ina(root: Path) -> tuple[Meter | None, str]:
    for folder in sorted(root.glob("sys/class/hwmon/hwmon[0-9]*")):
        if INA.match(facts.text(folder / "name")):
            return _tried(Ina(folder))
    return None, "no INA219, INA226 or INA228 in hwmon"


def _pmic(root: Path) -> tuple[Meter | None, str]:
    answer = facts.vcgencmd("pmic_read_adc")
    if answer is None:
        return None, "no power chip that vcgencmd pmic_read_adc reads (the Raspberry Pi 5 has one)"
    return _tried(Pmic())


def _rapl(root: Path) -> tuple[Meter | None, str]:
    zones = [
        zone
        for zone in sorted(root.glob("sys/class/powercap/intel-rapl:[0-9]*"))
        if zone.name.count(":") == 1 and facts.text(zone / "name").startswith("package")
    ]
    if not zones:
        return None, "no RAPL"
    try:
        return _tried(Rapl(zones))
    except ValueError:
        return None, "RAPL does not say where its counters begin again"


def _tried(meter: Meter) -> tuple[Meter | None, str]:
    try:
        meter.watts()
    except PermissionError:
        return None, f"{meter.name} may be read by root only"
    except (OSError, ValueError) as error:
        return None, f"{meter.name} cannot be read: {error}"
    return meter, ""
