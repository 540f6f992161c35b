"""Finds the two C files of a model, and says what a program must define to call it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgedistill.errors import InputError
from edgedistill.ir.interpret import Family

FOLDER = "c"  # of a build's folder


@dataclass(frozen=True)
class CSource:
    """Header and source; ``name`` is their stem and that of every public symbol."""

    name: str
    header: Path
    source: Path

    @property
    def family(self) -> Family:
        """The arithmetic that the header states; headers from before there was a choice are of family F."""
        text = self.header.read_text(encoding="utf-8")
        return "D" if re.search(r"^#define \w+_FAMILY 'D'$", text, re.MULTILINE) else "F"

    def macros(self) -> str:
        """A header that gives any model the same names: INVOKE and the sizes."""
        sizes = ("INPUT_BYTES", "OUTPUT_BYTES", "ARENA_BYTES")
        lines = [f'#include "{self.header.name}"', f"#define INVOKE {self.name}_invoke"]
        return "\n".join([*lines, *(f"#define {size} {self.name.upper()}_{size}" for size in sizes), ""])


def has_c(folder: Path) -> bool:
    """Whether a folder holds a model in C."""
    return folder.is_dir() and any(folder.glob("edgedistill_*.h"))


def find(folder: Path) -> CSource:
    """The model in a folder.

    Raises:
        InputError: there is none, or more than one.
    """
    headers = sorted(folder.glob("edgedistill_*.h"))
    if len(headers) != 1 or not headers[0].with_suffix(".c").exists():
        raise InputError(
            f"there are {len(headers)} models in C here, not one header with its source",
            where=str(folder),
            fix="give the folder c/ of a build, as it was written",
        )
    return CSource(headers[0].stem, headers[0].resolve(), headers[0].with_suffix(".c").resolve())
