"""Runs a model in C as firmware on an emulated Arm Cortex-M: what it takes, and every byte of its answers.

QEMU counts instructions exactly and knows nothing of cycles, caches or flash wait states.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import InputError
from edgedistill.runners import c_source, programs
from edgedistill.runners.cortex_m.elf import Sections, sections
from edgedistill.runners.cortex_m.firmware import compile_model
from edgedistill.runners.cortex_m.qemu import emulate
from edgedistill.runners.cortex_m.qemu import version as qemu_version
from edgedistill.runners.cortex_m.toolchain import CC, OPTIMISED, QEMU, flags, missing, reason_not_runnable
from edgedistill.target import Target

__all__ = [
    "CC",
    "QEMU",
    "Emulated",
    "Sections",
    "compiler_name",
    "missing",
    "reason_not_runnable",
    "run",
    "sections",
]

EMULATE_S = 600  # per image; 1e9 instructions take a few seconds


@dataclass(frozen=True, eq=False)
class Emulated:
    """What an emulated device did with N inputs; ``instructions``: of each inference."""

    outputs: NDArray[np.int8]  # [N, bytes]
    instructions: tuple[int, ...]
    repeat_spread: int  # instructions between two runs of the same input
    stack_bytes: int
    arena_bytes: int
    model: Sections  # of its object file
    linked_bytes: int  # of flash, that the model adds to the image
    machine: str
    emulator: str
    compiler: str
    flags: str

    @property
    def ram_bytes(self) -> int:
        """Arena, stack, and the model's own variables."""
        return self.arena_bytes + self.stack_bytes + self.model.data + self.model.bss


def run(
    c_folder: Path,
    device: Target,
    inputs: NDArray[np.int8],
    *,
    cc: str = CC,
    more: Sequence[str] = (),
    keep: Path | None = None,
    seconds: float = EMULATE_S,
) -> Emulated:
    """Builds firmware with a device's flash and RAM, and runs it on the device's emulator.

    Args:
        c_folder: with the two C files of a model.
        device: one for which ``reason_not_runnable`` is None.
        inputs: int8 [N, ...]; as many images are made as their bytes need.
        cc: GCC for Arm.
        more: flags for the model alone, such as warnings.
        keep: where sources and images stay; None: nowhere.
        seconds: that one image may run.

    Raises:
        InputError: the model does not fit the device, or there is no model.
        GateError: the compiler or the emulator fails.
    """
    assert device.emulator is not None and len(inputs), "an emulator and at least one input"
    source = c_source.find(c_folder)
    name = device.emulator.value
    with tempfile.TemporaryDirectory() as temporary:
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        firmware = compile_model(source, device, folder, cc=cc, more=more)
        machine = firmware.machine
        each = max(1, inputs[0].nbytes)
        count = machine.inputs.length // each
        if count == 0:
            raise InputError(
                f"one input of {each:,} bytes is more than the emulator holds beside a model",
                where=name,
                fix="choose a lower data.resolution, or run on the device itself",
            )
        chunks = [inputs[i : i + count] for i in range(0, len(inputs), count)]
        said = [
            emulate(firmware.link(chunk, f"firmware{i}"), name, machine, seconds=seconds)
            for i, chunk in enumerate(chunks)
        ]
        return Emulated(
            outputs=np.array([np.frombuffer(out, np.int8) for part in said for out in part.outputs]),
            instructions=tuple(n for part in said for n in part.instructions),
            repeat_spread=max(abs(a - b) for a, b in (part.first_again for part in said)),
            stack_bytes=max(part.stack_bytes for part in said),
            arena_bytes=said[0].arena_bytes,
            model=sections(firmware.model),
            linked_bytes=firmware.linked_bytes(chunks[0][:1]),
            machine=name,
            emulator=qemu_version(),
            compiler=compiler_name(cc),
            flags=" ".join((*flags(device), *OPTIMISED)),
        )


def compiler_name(cc: str) -> str:
    """``arm-none-eabi-gcc 12.2.1``, without what a distribution adds in brackets and the date."""
    found = re.search(r"\d+\.\d+(\.\d+)?", re.sub(r"\([^)]*\)", "", programs.first_line(cc)))
    return f"{Path(cc).name} {found[0]}" if found else Path(cc).name
