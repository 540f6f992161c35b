"""Names the instructions of an image and the functions they belong to, by the compiler's own disassembler."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgedistill.errors import GateError
from edgedistill.runners import programs

OBJDUMP_S = 60
ARCHITECTURE = "armv8.1-m.main"  # knows what every Cortex-M knows, Helium too

_FUNCTION = re.compile(r"[0-9a-f]+ <(.+)>:")
_INSTRUCTION = re.compile(r"\s*([0-9a-f]+):\t(\S+)")
_CLONE = re.compile(r"\.(constprop|isra|part|cold)(\.\d+)*")  # what GCC adds to the name of a function's copy


@dataclass(frozen=True)
class Instruction:
    """``name`` as in UAL, ``ldrb.w``."""

    function: str
    name: str


def objdump(cc: str) -> str | None:
    """The disassembler of a GCC for Arm, or None where it has none."""
    if shutil.which(cc) is None:
        return None
    said = programs.run([cc, "-print-prog-name=objdump"], seconds=30).out.strip()
    return said if "/" in said and shutil.which(said) else None  # a bare name would be this machine's own


def disassemble(image: Path, cc: str) -> Mapping[int, Instruction]:
    """By address.

    Raises:
        GateError: the disassembler does not take the image.
    """
    program = objdump(cc)
    assert program is not None, "mix.missing() says why"
    command: list[str | Path] = [program, "-d", "--no-show-raw-insn", "-m", ARCHITECTURE, image]
    ended = programs.run(command, seconds=OBJDUMP_S)
    if ended.code != 0:
        raise GateError(
            f"the firmware could not be disassembled: {ended.last_words}",
            where=program,
            fix="use the binutils that belong to the compiler",
        )
    return parse(ended.out)


def parse(text: str) -> Mapping[int, Instruction]:
    """What ``objdump -d --no-show-raw-insn`` printed."""
    found = {}
    function = ""
    for row in text.splitlines():
        if (header := _FUNCTION.fullmatch(row)) is not None:
            function = _CLONE.sub("", header[1])
        elif (match := _INSTRUCTION.match(row)) is not None:
            found[int(match[1], 16)] = Instruction(function, match[2])
    return found
