"""Runs an image in QEMU and reads what the firmware said of each inference."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgedistill.errors import GateError
from edgedistill.runners import programs
from edgedistill.runners.cortex_m.machines import ICOUNT_SHIFT, Machine
from edgedistill.runners.cortex_m.toolchain import QEMU

LOOP_INSTRUCTIONS = 200_000  # firmware.c: TURNS of two instructions
_TOLERANCE = 16  # instructions around the loop
_LINE = re.compile(r"(overhead|loop|arena|stack|first|ticks|output|more) ([0-9a-f]+)")
_CODES = {  # of firmware.c and startup.c
    1: "the model refused its input",
    2: "its stack is deeper than what was left of RAM, or than 16 KiB",
    99: "the program faulted (a wrong address, or an instruction that this core lacks)",
}


@dataclass(frozen=True)
class Said:
    """One image's answers: bytes and instructions of each input, in order."""

    outputs: tuple[bytes, ...]
    instructions: tuple[int, ...]
    first_again: tuple[int, int]  # two runs of the first input
    arena_bytes: int
    stack_bytes: int


def emulate(image: Path, name: str, machine: Machine, *, seconds: float) -> Said:
    """Runs an image to its end on QEMU's machine ``name``.

    Raises:
        GateError: it faults, says something else than inferences, or takes longer than ``seconds``.
    """
    return parse(said_by(image, name, seconds=seconds), name, machine)


def said_by(
    image: Path, name: str, *, seconds: float, more: Sequence[str] = (), folder: Path | None = None
) -> str:
    """All that an image says until it ends.

    Args:
        image: linked for the machine ``name``.
        name: of a QEMU machine.
        seconds: that it may run.
        more: of QEMU's options, such as a plugin.
        folder: in which QEMU works.

    Raises:
        GateError: it faults, or takes longer than ``seconds``.
    """
    quiet = (
        "-display",
        "none",
        "-monitor",
        "none",
        "-serial",
        "null",
        "-chardev",
        "stdio,id=said,signal=off",
    )
    host = ("-semihosting-config", "enable=on,target=native,chardev=said", "-icount", f"shift={ICOUNT_SHIFT}")
    command: list[str | Path] = [QEMU, "-M", name, *quiet, *host, *more, "-kernel", image]
    ended = programs.run(command, seconds=seconds, folder=folder)
    if ended.code != 0:
        reason = _CODES.get(ended.code, f"QEMU ended with {ended.code}: {ended.last_words}")
        raise GateError(
            f"the firmware did not run to its end: {reason}",
            where=f"{QEMU} -M {name}",
            fix="check that the target's cpu, features and emulator fit each other",
        )
    return ended.out


def version() -> str:
    """``qemu 7.2.17``."""
    found = re.search(r"version (\S+)", programs.first_line(QEMU))
    return f"qemu {found[1]}" if found else "qemu"


def parse(text: str, name: str, machine: Machine) -> Said:
    """What the firmware said, strictly.

    Raises:
        GateError: a line is not one of the firmware's, or the counter does not count instructions.
    """
    overhead = loop = arena = stack = first = 0
    ticks: list[int] = []
    outputs: list[bytes] = []
    for row in text.splitlines():
        match = _LINE.fullmatch(row)
        if match is None:
            raise garbled(name, row)
        word, digits = match.groups()
        match word:
            case "overhead":
                overhead = machine.instructions(int(digits, 16))
            case "loop":
                loop = machine.instructions(int(digits, 16))
            case "arena":
                arena = int(digits, 16)
            case "stack":
                stack = int(digits, 16)
            case "first":
                first = machine.instructions(int(digits, 16))
            case "ticks":
                ticks.append(machine.instructions(int(digits, 16)))
            case "output":
                outputs.append(_bytes(digits, name))
            case "more" if outputs:
                outputs[-1] += _bytes(digits, name)
    if not ticks or len(ticks) != len(outputs):
        raise garbled(name, f"{len(ticks)} times and {len(outputs)} outputs")
    check_loop(loop - overhead, name)
    counts = tuple(t - overhead for t in ticks)
    return Said(tuple(outputs), counts, (first - overhead, counts[0]), arena, stack)


def check_loop(instructions: int, name: str) -> None:
    """Holds what was counted of firmware's loop against what it has.

    Raises:
        GateError: the counter does not count instructions.
    """
    if abs(instructions - LOOP_INSTRUCTIONS) > _TOLERANCE:
        raise GateError(
            f"the emulator counted {instructions:,} instructions for {LOOP_INSTRUCTIONS:,}",
            where=f"{QEMU} -M {name}",
            fix="use QEMU 7.2 or newer, which counts with -icount",
        )


def _bytes(digits: str, name: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise garbled(name, digits) from None


def garbled(name: str, row: str) -> GateError:
    return GateError(
        f"the firmware said something else than inferences: {row[:80]!r}",
        where=f"{QEMU} -M {name}",
        fix="build again; the image was altered, or the emulator is another one",
    )
