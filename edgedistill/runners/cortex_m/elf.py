"""Counts what an object file takes on a device: code, constants, initialised and zeroed data."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from edgedistill.errors import GateError

_WRITE, _ALLOC, _EXECUTE = 1, 2, 4  # section flags (System V ABI, "Section Attribute Flags")
_NOBITS = 8
_UNWIND = 0x7000_0001  # SHT_ARM_EXIDX: tables for C++ exceptions, which no firmware links here


@dataclass(frozen=True)
class Sections:
    """Bytes by kind; flash holds the first three, RAM the last two."""

    text: int = 0
    rodata: int = 0
    data: int = 0
    bss: int = 0

    @property
    def flash_bytes(self) -> int:
        return self.text + self.rodata + self.data


def sections(path: Path) -> Sections:
    """Of a 32-bit little-endian ELF file.

    Raises:
        GateError: it is not one, or is cut off.
    """
    content = path.read_bytes()
    try:
        if content[:6] != b"\x7fELF\x01\x01":
            raise ValueError("not a 32-bit little-endian ELF file")
        start = struct.unpack_from("<I", content, 32)[0]
        size, count = struct.unpack_from("<HH", content, 46)
        headers = [struct.unpack_from("<6I", content, start + i * size) for i in range(count)]
    except (ValueError, struct.error) as error:
        raise GateError(
            f"the compiler's output cannot be read: {error}", where=str(path), fix="use an Arm GCC"
        ) from error
    found = dict.fromkeys(("text", "rodata", "data", "bss"), 0)
    for _, kind, flags, _, _, length in headers:
        if not flags & _ALLOC or kind == _UNWIND:
            continue
        if kind == _NOBITS:
            found["bss"] += length
        elif flags & _EXECUTE:
            found["text"] += length
        elif flags & _WRITE:
            found["data"] += length
        else:
            found["rodata"] += length
    return Sections(**found)
