"""Reads what a phone is (processor, Android's version) and how it is just now: clocks, heat, battery.

``root`` is where the phone's /proc and /sys begin: empty on a phone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from edgedistill.runners.adb import Phone

ABI = "arm64-v8a"  # of 64-bit Arm, as Android's NDK names it
_PROPERTIES = {  # of Android's Build class: its fields read the same properties
    "model": "ro.product.model",
    "maker": "ro.product.manufacturer",
    "android": "ro.build.version.release",
    "abi": "ro.product.cpu.abi",
    "chip": "ro.soc.model",
    "emulator": "ro.boot.qemu",  # "1" in Android's emulator
}
_STATE = (  # the kernel's Documentation/ABI: sysfs-devices-system-cpu, sysfs-class-thermal, sysfs-class-power
    "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq",
    "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor",
    "/sys/class/thermal/thermal_zone[0-9]*/type",
    "/sys/class/thermal/thermal_zone[0-9]*/temp",
    "/sys/class/power_supply/battery/capacity",
    "/sys/class/power_supply/battery/status",
    "/sys/class/power_supply/battery/temp",
)
_MOST_CHARACTERS = 80  # of one answer
_CELSIUS = (5.0, 125.0)  # of a powered phone's parts; zones that are off answer 0 or far less
_CPU_ZONES = ("cpu", "soc", "tsens", "big", "little", "mid", "cluster")
"""Names of thermal zones are the makers'; these are of the processor in most of them."""


@dataclass(frozen=True)
class Facts:
    """What does not change; "" where the phone does not say."""

    maker: str
    model: str
    android: str
    abi: str
    chip: str
    emulator: str
    features: tuple[str, ...]  # of the first processor in /proc/cpuinfo

    @property
    def title(self) -> str:
        """``Google Pixel 8, Tensor G3, Android 15``."""
        name = self.model if self.model.startswith(self.maker) else f"{self.maker} {self.model}"
        android = f"Android {self.android}" if self.android else ""
        return ", ".join(part for part in (name.strip() or "a phone", self.chip, android) if part)

    @property
    def architecture(self) -> str:
        """GCC's -march by which kernels are chosen; ``asimddp`` is the kernel's name of dotprod."""
        return "armv8.2-a+dotprod" if "asimddp" in self.features else "armv8-a"


@dataclass(frozen=True)
class State:
    """Just now; empty or None where the phone does not let adb's user read it."""

    clocks_hz: tuple[int, ...] = ()  # of the processors, in their order
    governors: tuple[str, ...] = ()  # the different ones
    hottest_celsius: float | None = None  # of the processor's thermal zones; without one, of all
    battery_celsius: float | None = None
    battery: str = ""  # "Discharging", "Charging", "Full", "Not charging", "Unknown"
    charge: int | None = None  # percent

    def words(self) -> str:
        """``1.80 GHz (schedutil), 31.0 °C``, as far as it is known."""
        parts = []
        if self.clocks_hz:
            low, high = min(self.clocks_hz) / 1e9, max(self.clocks_hz) / 1e9
            clocks = f"{high:.2f} GHz" if low == high else f"{low:.2f} to {high:.2f} GHz"
            parts.append(f"{clocks} ({', '.join(self.governors)})" if self.governors else clocks)
        if self.hottest_celsius is not None:
            parts.append(f"{self.hottest_celsius:.1f} °C")
        if self.battery:
            full = f" at {self.charge} %" if self.charge is not None else ""
            parts.append(f"battery {self.battery.lower()}{full}")
        return ", ".join(parts) or "clocks and heat cannot be read"


def facts(phone: Phone, root: str = "") -> Facts:
    """Asks the phone.

    Raises:
        GateError: it is lost or hangs.
    """
    asked = "; ".join(f'printf "%s=%s\\n" {key} "$(getprop {name})"' for key, name in _PROPERTIES.items())
    said = _pairs(phone.script(asked).out)
    cpuinfo = phone.run(["cat", f"{root}/proc/cpuinfo"]).out
    features = re.search(r"^Features\s*:(.*)$", cpuinfo, re.MULTILINE)
    return Facts(
        **{key: said.get(key, "") for key in _PROPERTIES},
        features=tuple(features[1].split()) if features else (),
    )


def state(phone: Phone, root: str = "") -> State:
    """Asks the phone.

    Raises:
        GateError: it is lost or hangs.
    """
    files = " ".join(f"{root}{path}" for path in _STATE)
    said = '[ -r "$f" ] && IFS= read -r x < "$f" && printf "%s=%s\\n" "$f" "$x"'
    text = f"for f in {files}; do {said}; done; true"
    return parse_state(phone.script(text).out, root)


def parse_state(text: str, root: str = "") -> State:
    """From lines ``PATH=VALUE``; what is no figure is left out."""
    said = {path.removeprefix(root): value for path, value in _pairs(text).items()}
    battery = "/sys/class/power_supply/battery"
    zones = _temperatures(said)
    of_cpu = [value for name, value in zones if name.lower().startswith(_CPU_ZONES)]
    tenths = _integer(said.get(f"{battery}/temp", ""))
    return State(
        clocks_hz=tuple(
            1000 * khz
            for _, value in _numbered(said, "cpu", "scaling_cur_freq")
            if (khz := _integer(value)) is not None and khz > 0
        ),
        governors=tuple(dict.fromkeys(value for _, value in _numbered(said, "cpu", "scaling_governor"))),
        hottest_celsius=max(of_cpu or [value for _, value in zones], default=None),
        battery_celsius=None if tenths is None else tenths / 10,  # tenths of a degree, by the kernel's ABI
        battery=said.get(f"{battery}/status", ""),
        charge=_integer(said.get(f"{battery}/capacity", "")),
    )


def _temperatures(said: Mapping[str, str]) -> list[tuple[str, float]]:
    """(zone's name, degrees Celsius) of the zones that answer something plausible; they give thousandths."""
    names = dict(_numbered(said, "thermal_zone", "type"))
    found = []
    for number, value in _numbered(said, "thermal_zone", "temp"):
        thousandths = _integer(value)
        if thousandths is not None and _CELSIUS[0] <= thousandths / 1e3 <= _CELSIUS[1]:
            found.append((names.get(number, ""), thousandths / 1e3))
    return found


def _numbered(said: Mapping[str, str], part: str, file: str) -> list[tuple[int, str]]:
    """(number, value) of the paths that end in ``file`` and have a ``part`` with a number, by number."""
    pattern = re.compile(rf"/{part}(\d{{1,4}})/(?:.*/)?{file}")
    return sorted((int(found[1]), value) for path, value in said.items() if (found := pattern.search(path)))


def _pairs(text: str) -> dict[str, str]:
    """Of lines KEY=VALUE; what a terminal could act on is taken out."""
    found = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            found[key] = "".join(c for c in value.strip() if c.isprintable())[:_MOST_CHARACTERS]
    return found


def _integer(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?\d{1,15}", text) else None
