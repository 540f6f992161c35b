"""Every error a user can meet: what happened, where, and what to do about it.

::

    EdgeDistillError            exit code 70 unless a child says otherwise
    ├── InputError              2   the user's input: path, name, number, file content
    │   ├── UnknownNameError    2   a name that is in no table (nearest names are offered)
    │   ├── DataError           2   a data set that cannot be used
    │   ├── TeacherError        2   a teacher that cannot be used
    │   ├── UnsupportedOpError  2   a layer that the integer graph has no operator for
    │   ├── BudgetError         2   a budget that no student meets
    │   └── OutputError         2   an output folder that cannot be written
    └── GateError               1   a promise that the build checked and that did not hold
        ├── ParityError         1   a runtime that answers differently from the interpreter
        └── WorkerError         1   one of the processes that train together was lost
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path


class EdgeDistillError(Exception):
    """The root. ``what`` happened, ``where`` (file, key, layer), ``fix``: what to do."""

    exit_code = 70

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.what = what
        self.where = where
        self.fix = fix
        lines = [what]
        if where:
            lines.append(f"  where: {where}")
        if fix:
            lines.append(f"  do:    {fix}")
        super().__init__("\n".join(lines))


class InputError(EdgeDistillError):
    """The user's input cannot be used."""

    exit_code = 2


class UnknownNameError(InputError):
    """A name that is in no table; the nearest known names are offered."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, where: str | None = None) -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}? " if near else ""
        super().__init__(
            f"there is no {kind} named {name!r}",
            where=where,
            fix=f"{hint}known: {', '.join(known)}",
        )


class DataError(InputError):
    """A data set that cannot be used."""


class TeacherError(InputError):
    """A teacher that cannot be used."""


class UnsupportedOpError(InputError):
    """A layer that the integer graph has no operator for."""


class BudgetError(InputError):
    """A budget that no student meets."""


class OutputError(InputError):
    """An output folder that cannot be written."""


@contextlib.contextmanager
def writing(
    what: str, path: Path, fix: str = "choose a folder that exists, is writable and has room"
) -> Iterator[None]:
    """Tells what the system refuses within the block: ``what`` (a file, in words) cannot be written.

    Raises:
        OutputError: the block ended with an OSError.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{what} cannot be written: {error.strerror or error}", where=str(path), fix=fix
        ) from error


class GateError(EdgeDistillError):
    """A promise that the build checked and that did not hold."""

    exit_code = 1


class ParityError(GateError):
    """A runtime that answers differently from the interpreter."""


class WorkerError(GateError):
    """One of the processes that train together was lost; ``speaks``: this process is the one to tell."""

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None, speaks: bool) -> None:
        super().__init__(what, where=where, fix=fix)
        self.speaks = speaks
