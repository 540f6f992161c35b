"""Runs compilers and emulators: no shell, a time limit, and their own words where they fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgedistill.errors import GateError

LAST_WORDS = 1_500  # characters of a failed program's output that a person is shown


@dataclass(frozen=True)
class Ended:
    """How a program ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def last_words(self) -> str:
        """The end of what it said, errors first."""
        return (self.err.strip() or self.out.strip() or "it said nothing")[-LAST_WORDS:]


def find(name: str) -> str | None:
    """Where a program is: beside this Python, as in an environment that was not activated, or on the path."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name)


def run(arguments: Sequence[str | Path], *, seconds: float, folder: Path | None = None) -> Ended:
    """Runs a program to its end, in English.

    Raises:
        GateError: it cannot be started, or takes longer.
    """
    name = Path(arguments[0]).name
    try:
        done = subprocess.run(
            [str(a) for a in arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise GateError(
            f"{name} did not end within {seconds:g} s",
            where=" ".join(map(str, arguments))[:300],
            fix="try again on an idle machine, with a smaller network or fewer inputs",
        ) from error
    except OSError as error:
        raise GateError(
            f"{name} cannot be started: {error.strerror or error}",
            where=str(arguments[0]),
            fix="install it again",
        ) from error
    return Ended(done.returncode, done.stdout, done.stderr)


def first_line(program: str | Path) -> str:
    """What a program says its version is."""
    ended = run([program, "--version"], seconds=30)
    return next(iter(ended.out.splitlines()), "").strip()
