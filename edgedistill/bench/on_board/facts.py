"""Reads what a Linux board says of itself: its model, its heat, its clocks, and whether it was throttled."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

THROTTLED: Mapping[int, str] = MappingProxyType(
    {
        0: "under-voltage now",
        1: "Arm frequency capped now",
        2: "throttled now",
        3: "soft temperature limit now",
        16: "under-voltage has occurred",
        17: "Arm frequency capping has occurred",
        18: "throttling has occurred",
        19: "soft temperature limit has occurred",
    }
)
"""Bits of ``vcgencmd get_throttled`` (Raspberry Pi documentation); from 16 on, since the last boot."""

_ANSWER_S = 10
_MOST = 200  # characters of a text


def system(root: Path = Path("/")) -> dict[str, Any]:
    """What does not change: the board, its processor, its system and this Python."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cores = os.cpu_count() or 1
    return {
        "board": board(root),
        "processor": processor(text(root / "proc/cpuinfo")),
        "cores": cores,
        "machine": platform.machine(),
        "kernel": f"{platform.system()} {platform.release()}",
        "os": pretty_name(text(root / "etc/os-release")),
        "python": platform.python_version(),
        "executable": sys.executable or "python3",
    }


def state(root: Path = Path("/")) -> dict[str, Any]:
    """What changes: °C of each thermal zone, MHz and governors of the processors, the throttling bits."""
    return {
        "temperatures_c": temperatures(root),
        "frequencies_mhz": frequencies(root),
        "governors": sorted(
            {text(path) for path in root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")}
        ),
        "throttled": throttled(vcgencmd("get_throttled")),
    }


def board(root: Path) -> str:
    """The device tree's model; else the firmware's product name (DMI); else nothing."""
    return text(root / "proc/device-tree/model") or text(root / "sys/class/dmi/id/product_name")


def processor(cpuinfo: str) -> str:
    """As /proc/cpuinfo names it: by name, or by implementer and part, which 64-bit Arm has instead."""
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    if fields.get("model name"):
        return fields["model name"][:_MOST]
    part = fields.get("CPU part", "")
    if fields.get("CPU implementer") == "0x41" and part in ARM_PARTS:
        return ARM_PARTS[part]
    return f"Arm part {part}" if part else ""


ARM_PARTS: Mapping[str, str] = MappingProxyType(
    {
        "0xb76": "ARM1176",
        "0xc07": "Cortex-A7",
        "0xd03": "Cortex-A53",
        "0xd04": "Cortex-A35",
        "0xd05": "Cortex-A55",
        "0xd08": "Cortex-A72",
        "0xd0b": "Cortex-A76",
    }
)
"""Primary part numbers of Arm's processors (MIDR_EL1, in each one's Technical Reference Manual)."""


def pretty_name(os_release: str) -> str:
    """PRETTY_NAME of os-release(5)."""
    for line in os_release.splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip().strip("\"'")[:_MOST]
    return ""


def temperatures(root: Path) -> dict[str, float]:
    """By the zone's type; the kernel counts thousandths of °C."""
    found = {}
    for zone in sorted(root.glob("sys/class/thermal/thermal_zone[0-9]*")):
        thousandths = integer(zone / "temp")
        if thousandths is not None:
            found["{} {}".format(zone.name[len("thermal_") :], text(zone / "type")).strip()] = (
                thousandths / 1e3
            )
    return found


def frequencies(root: Path) -> list[float]:
    """In MHz, of each processor; the kernel counts kHz."""
    paths = sorted(root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq"))
    return [khz / 1e3 for khz in map(integer, paths) if khz is not None]


def throttled(answer: str | None) -> int | None:
    """The bits of ``throttled=0x50000``; None: this board does not say."""
    key, _, value = (answer or "").strip().partition("=")
    try:
        return int(value, 16) if key == "throttled" else None
    except ValueError:
        return None


def throttling_words(bits: int) -> list[str]:
    """What the bits mean; a bit that is not documented is named by its number."""
    return [THROTTLED.get(bit, f"bit {bit}") for bit in range(bits.bit_length()) if bits >> bit & 1]


def vcgencmd(*words: str) -> str | None:
    """What a Raspberry Pi's firmware answers; None: there is no such program, or it fails."""
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_ANSWER_S,
            text=True,
            errors="replace",
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


def text(path: Path) -> str:
    """A small file's text without its end, or nothing."""
    try:
        with path.open("rb") as file:
            return file.read(65_536).decode("utf-8", "replace").strip("\0\n ")
    except OSError:
        return ""


def integer(path: Path) -> int | None:
    """A file's number, or None."""
    try:
        return int(text(path))
    except ValueError:
        return None
