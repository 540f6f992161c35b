"""Counts the instructions of one inference by class and by function, with the bytes they read and write.

They are what firmware's own counter spans: from the instruction after its first reading to the one before its
second. What an IT block or a predicate skips is an executed instruction, here as there, which reads no byte.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import GateError
from edgedistill.runners import c_source
from edgedistill.runners.cortex_m import EMULATE_S, disassembly, plugin, qemu
from edgedistill.runners.cortex_m.classes import CLASSES, class_of
from edgedistill.runners.cortex_m.disassembly import Instruction
from edgedistill.runners.cortex_m.firmware import compile_model
from edgedistill.runners.cortex_m.machines import MACHINES
from edgedistill.runners.cortex_m.toolchain import CC, QEMU
from edgedistill.target import Target

_OVERHEAD, _FIRST = 0, 2  # regions of firmware.c, in order: two bare readings, the loop, an inference
_COUNTER = 0x18  # semihosting.h: of Arm's FPGA system registers
_OUT = "counts.txt"
_MOST_BYTES = 64 * 2**20  # of that file; a line per instruction is a few hundred KiB

Sites = Mapping[int, tuple[int, int, int]]
"""Executed, bytes read and bytes written, by address."""


@dataclass(frozen=True)
class Function:
    """What the instructions of one function did; ``executed`` has every key of ``CLASSES``."""

    name: str
    executed: Mapping[str, int]
    loaded_bytes: int
    stored_bytes: int

    @property
    def instructions(self) -> int:
        return sum(self.executed.values())

    def as_dict(self) -> dict[str, str | int]:
        """One row of a table: ``function``, ``instructions``, the keys of ``CLASSES``, bytes."""
        counts = {"instructions": self.instructions, **self.executed}
        moved = {"loaded_bytes": self.loaded_bytes, "stored_bytes": self.stored_bytes}
        return {"function": self.name, **counts, **moved}


@dataclass(frozen=True)
class Mix:
    """One inference, function by function, the longest first."""

    functions: tuple[Function, ...]

    @property
    def whole(self) -> Function:
        """All functions as one."""
        return Function(
            "all",
            {kind: sum(f.executed[kind] for f in self.functions) for kind in CLASSES},
            sum(f.loaded_bytes for f in self.functions),
            sum(f.stored_bytes for f in self.functions),
        )


def missing(cc: str) -> str | None:
    """Why nothing can be counted here, or None; for where ``reason_not_runnable`` of the device is None."""
    if disassembly.objdump(cc) is None:
        return f"{cc} has no objdump (Debian: apt-get install binutils-arm-none-eabi)"
    return plugin.missing()


def reason_not_countable(cc: str) -> str | None:
    """As ``missing``, and makes the plugin where it was not made yet."""
    reason = missing(cc)
    if reason is not None:
        return reason
    try:
        plugin.get()
    except GateError as error:
        return error.what
    return None


def count(
    c_folder: Path, device: Target, x: NDArray[np.int8], *, cc: str = CC, seconds: float = EMULATE_S
) -> Mix:
    """Of one inference.

    Args:
        c_folder: with the two C files of a model.
        device: one for which ``reason_not_countable`` and ``cortex_m.reason_not_runnable`` are None.
        x: the input, int8 [1, ...].
        cc: GCC for Arm.
        seconds: that it may take.

    Raises:
        InputError: the model does not fit the device, or there is no model.
        GateError: compiler or emulator fail, or the plugin counts something else than firmware's counter.
    """
    assert len(x) == 1 and device.emulator is not None
    name, machine = device.emulator.value, MACHINES[device.emulator.value]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        image = compile_model(c_source.find(c_folder), device, folder, cc=cc).link(x, "mix")
        made = str(plugin.get()).replace(",", ",,")  # QEMU's way to write a comma
        more = ("-plugin", f"file={made},counter={machine.fpgaio + _COUNTER:#x},out={_OUT}")
        said = qemu.parse(qemu.said_by(image, name, seconds=seconds, more=more, folder=folder), name, machine)
        regions = read(folder / _OUT)
        instructions = disassembly.disassemble(image, cc)
    if len(regions) <= _FIRST:
        raise _unlike(name, f"{len(regions)} regions")
    found = sort(regions[_FIRST], instructions)
    expected = said.first_again[0] + sum(site[0] for site in regions[_OVERHEAD].values())
    if found.whole.instructions != expected:
        raise _unlike(name, f"{found.whole.instructions:,} instructions, the counter {expected:,}")
    return found


def read(path: Path) -> Sequence[Sites]:
    """What ``counts.c`` wrote, strictly.

    Raises:
        GateError: it is missing, too long, or something else.
    """
    regions: list[dict[int, tuple[int, int, int]]] = []
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("it is too long")
        for row in path.read_text(encoding="ascii").splitlines():
            if row == f"region {len(regions)}":
                regions.append({})
                continue
            address, executed, loaded, stored = map(int, row.split())
            regions[-1][address] = (executed, loaded, stored)
    except (OSError, ValueError, IndexError) as error:
        raise _unlike("QEMU's plugin", f"a file that cannot be read ({error})") from error
    return regions


@dataclass
class _Tally:
    executed: Counter[str] = field(default_factory=Counter)
    loaded_bytes: int = 0
    stored_bytes: int = 0


def sort(sites: Sites, instructions: Mapping[int, Instruction]) -> Mix:
    """Counts at addresses by the functions and classes of the instructions there.

    Raises:
        GateError: something was executed that the disassembler does not know.
    """
    tallies: dict[str, _Tally] = {}
    for address, (executed, loaded, stored) in sites.items():
        at = instructions.get(address)
        kind = class_of(at.name) if at is not None else None
        if at is None or kind is None:
            what = at.name if at is not None else "something"
            raise _unlike(f"{address:#x}", f"{what!r}, which is no known instruction")
        tally = tallies.setdefault(at.function, _Tally())
        tally.executed[kind] += executed
        tally.loaded_bytes += loaded
        tally.stored_bytes += stored
    functions = (
        Function(name, {kind: t.executed[kind] for kind in CLASSES}, t.loaded_bytes, t.stored_bytes)
        for name, t in tallies.items()
    )
    return Mix(tuple(sorted(functions, key=lambda f: (-f.instructions, f.name))))


def _unlike(where: str, what: str) -> GateError:
    return GateError(
        f"the emulator's plugin counted {what}",
        where=f"{QEMU}: {where}",
        fix="use QEMU 7.2 and GNU binutils 2.40, with which this was tested",
    )
