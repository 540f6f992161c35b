"""Runs a model in C as a program for 64-bit Arm in QEMU: every byte of its answers, and no timing."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from edgedistill.runners import c_program
from edgedistill.target import Target

CC = "aarch64-linux-gnu-gcc"
QEMU = "qemu-aarch64-static"
PACKAGES: Mapping[str, str] = MappingProxyType({CC: "gcc-aarch64-linux-gnu", QEMU: "qemu-user-static"})
"""Debian's and Ubuntu's names."""

ARCHITECTURES = ("armv8-a", "armv8.2-a+dotprod")
"""GCC's -march: what every 64-bit Arm has, and what a Cortex-A55 or A76 has besides."""

CPU = "cortex-a76"  # that QEMU emulates: it has both


def architecture(device: Target) -> str | None:
    """GCC's -march by a 64-bit Arm's facts, such as armv8.2-a+dotprod; None for other processors.

    Of the features only ``dotprod`` chooses between kernels.
    """
    name, _, state = device.isa.value.partition(" ")
    if state != "(AArch64)":
        return None
    has = device.features.value if device.features is not None else ()
    return name + ("+dotprod" if "dotprod" in has else "")


def missing(program: str) -> str | None:
    """What to install for a program, or None where it is here."""
    if shutil.which(program) is not None:
        return None
    return f"there is no {program} here (Debian: apt-get install {PACKAGES[program]})"


def reason_not_runnable() -> str | None:
    """Why models in C cannot be run as 64-bit Arm programs here, or None where they can."""
    return missing(CC) or missing(QEMU)


def run(
    c_folder: Path, inputs: NDArray[np.int8], *, architecture: str = ARCHITECTURES[0]
) -> tuple[NDArray[np.int8], str]:
    """Outputs int8 [N, bytes] for ``inputs`` int8 [N, ...], and the compiler's name and version.

    Linked statically, so that no library of the emulated system is needed.

    Raises:
        InputError: there is no model in the folder.
        GateError: it cannot be compiled, or does not answer every input.
    """
    assert reason_not_runnable() is None, "reason_not_runnable() says why"
    cc = (CC, *c_program.FLAGS, f"-march={architecture}", "-static")
    return c_program.answers(c_folder, inputs, cc, under=(QEMU, "-cpu", CPU)), c_program.version(CC)
