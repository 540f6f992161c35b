"""The compiler and the emulator: whether they are here, what brings them, and the compiler's flags."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from types import MappingProxyType

from edgedistill.target import Target

CC = "arm-none-eabi-gcc"
QEMU = "qemu-system-arm"
PACKAGES: Mapping[str, str] = MappingProxyType(
    {CC: "gcc-arm-none-eabi libnewlib-arm-none-eabi", QEMU: "qemu-system-arm"}
)
"""Debian's and Ubuntu's names."""

OPTIMISED = ("-O2", "-ffunction-sections", "-fdata-sections")
_OPTIONAL = {"dsp": ("cortex-m33", "cortex-m35p"), "mve": ("cortex-m55", "cortex-m85")}
"""Extensions that GCC takes a core to have unless told +nodsp or +nomve."""


def missing(program: str) -> str | None:
    """What to install for a program, or None where it is here."""
    if shutil.which(program) is not None:
        return None
    if program not in PACKAGES:
        return f"there is no {program} on the PATH"
    return f"there is no {program} here (Debian: apt-get install {PACKAGES[program]})"


def reason_not_runnable(device: Target, cc: str = CC) -> str | None:
    """Why a device's C files cannot be run on an emulator here, or None where they can."""
    if device.cpu is None or device.emulator is None:
        return f"{device.title} has no emulator"
    return missing(cc) or missing(QEMU)


def flags(device: Target) -> tuple[str, ...]:
    """GCC's flags for a device's core, float unit and extensions.

    ``features`` names the float unit as GCC does (fpv4-sp-d16). Helium implies one of its own.
    """
    assert device.cpu is not None, f"{device.name}: no cpu"
    has = device.features.value if device.features is not None else ()
    cpu = device.cpu.value
    cpu += "".join(f"+no{name}" for name, cores in _OPTIONAL.items() if cpu in cores and name not in has)
    unit = next((name for name in has if name.startswith("fpv")), None)
    if unit is None:
        return ("-mthumb", f"-mcpu={cpu}", "-mfloat-abi=soft")
    fpu = () if "mve" in has else (f"-mfpu={unit}",)
    return ("-mthumb", f"-mcpu={cpu}", "-mfloat-abi=hard", *fpu)
