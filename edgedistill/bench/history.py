"""Keeps measurements of many days in one SQLite file, so that today's can be held against them.

SQLite, because it is in the standard library, appends under a lock when two jobs end at once, never leaves
half a run behind when one is killed, and finds the last comparable figure without reading all of them.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from edgedistill.bench.machine import versions
from edgedistill.errors import GateError, InputError, OutputError
from edgedistill.record import Measurement, now_utc
from edgedistill.runners import programs

APPLICATION = 0x45444248  # "EDBH" in the file's header, by which SQLite files are told apart
SCHEMA = 1
WAIT_S = 10.0  # for another job that is writing
GIT_S = 5.0
ROWS = 100_000  # that one question may be answered with

_TABLES = """
CREATE TABLE runs (id INTEGER PRIMARY KEY, created_utc TEXT NOT NULL, build TEXT NOT NULL,
  label TEXT NOT NULL, revision TEXT NOT NULL, versions TEXT NOT NULL, passed INTEGER NOT NULL);
CREATE TABLE figures (run INTEGER NOT NULL REFERENCES runs (id), quantity TEXT NOT NULL,
  measurement TEXT NOT NULL);
CREATE INDEX by_run ON figures (run);
"""


@dataclass(frozen=True)
class Run:
    """One call of ``bench``."""

    number: int
    created_utc: str
    build: str  # name of its folder
    label: str  # the user's name for it, or empty
    revision: str  # of the working folder, or empty
    passed: bool  # no limit was broken; one that broke a limit is nobody's baseline
    versions: str  # JSON, by library
    measurements: tuple[Measurement, ...]


def append(
    path: Path, build: str, found: Sequence[Measurement], *, label: str = "", passed: bool = True
) -> int:
    """Adds one run.

    Args:
        path: of the file; it is made where there is none.
        build: name of the build's folder.
        found: what was measured.
        label: by which the run can be asked for as a baseline.
        passed: whether all limits were met.

    Returns:
        The run's number.

    Raises:
        InputError: the file is no history.
        OutputError: it cannot be written.
    """
    row = (now_utc(), build, label, revision(), json.dumps(versions()), passed)
    with _open(path, write=True) as db:
        made = db.execute(
            "INSERT INTO runs (created_utc, build, label, revision, versions, passed) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            row,
        )
        db.executemany(
            "INSERT INTO figures VALUES (?, ?, ?)",
            [(made.lastrowid, one.quantity, one.model_dump_json()) for one in found],
        )
    assert made.lastrowid is not None
    return made.lastrowid


def runs(path: Path, build: str, *, label: str = "", most: int = 50) -> tuple[Run, ...]:
    """The last runs of a build, the newest first.

    Args:
        path: of the file.
        build: name of the build's folder.
        label: only those that bear it; empty: all.
        most: how many.

    Raises:
        InputError: there is no such file, or it is no history.
    """
    if not path.is_file():
        raise InputError("there is no history yet", where=str(path), fix="measure with --history first")
    with _open(path, write=False) as db:
        rows = db.execute(
            "SELECT id, created_utc, build, label, revision, passed, versions FROM runs "
            "WHERE build = ? AND (? = '' OR label = ?) ORDER BY id DESC LIMIT ?",
            (build, label, label, most),
        ).fetchall()
        return tuple(
            Run(
                number=number,
                created_utc=str(created),
                build=str(name),
                label=str(its_label),
                revision=str(commit),
                passed=bool(passed),
                versions=str(its_versions),
                measurements=_figures(db, number, path),
            )
            for number, created, name, its_label, commit, passed, its_versions in rows
        )


def baseline(found: Measurement, earlier: Sequence[Run]) -> tuple[Run, Measurement] | None:
    """The newest comparable figure of a run that passed: same quantity, file, runtime, device and threads.

    The runtime's version does not matter: a newer one that is slower is what a gate is for.

    Args:
        found: today's.
        earlier: the newest first.
    """
    for run in earlier:
        for old in run.measurements if run.passed else ():
            if _kind(old) == _kind(found) and old.value is not None:
                return run, old
    return None


def revision(folder: Path | None = None) -> str:
    """The commit of the working folder, with a plus where files differ from it; empty: no repository."""
    git = programs.find("git")
    if git is None:
        return ""

    def ask(*words: str) -> str:
        ended = programs.run([git, *words], seconds=GIT_S, folder=folder)
        return ended.out.strip() if ended.code == 0 else ""

    try:
        commit = ask("rev-parse", "HEAD")
        return (
            f"{commit}{'+' if ask('status', '--porcelain', '--untracked-files=no') else ''}" if commit else ""
        )
    except GateError:  # git hangs, as on a lost network drive: the figures count all the same
        return ""


def _kind(m: Measurement) -> tuple[str, str, str, str, str, str, int | None]:
    runtime = re.sub(r" v?\d[\w.+-]*$", "", m.runtime)
    return m.quantity, m.unit, m.how, m.artifact, runtime, m.device, m.threads


def _figures(db: sqlite3.Connection, number: int, path: Path) -> tuple[Measurement, ...]:
    rows = db.execute("SELECT measurement FROM figures WHERE run = ? LIMIT ?", (number, ROWS)).fetchall()
    try:
        return tuple(Measurement.model_validate_json(text) for (text,) in rows)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]["msg"]
        raise _no_history(path, f"run {number} holds a figure that is none: {first}") from error


@contextlib.contextmanager
def _open(path: Path, *, write: bool) -> Iterator[sqlite3.Connection]:
    """One transaction; half a run is never left behind."""
    try:
        db = sqlite3.connect(path, timeout=WAIT_S)
    except sqlite3.Error as error:
        raise OutputError(f"the history cannot be opened: {error}", where=str(path)) from error
    with contextlib.closing(db):
        try:
            with db:
                db.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
                if write and not tables:
                    for statement in _TABLES.strip().split(";")[:-1]:
                        db.execute(statement)
                    db.execute(f"PRAGMA application_id = {APPLICATION}")
                    db.execute(f"PRAGMA user_version = {SCHEMA}")
                marks = [
                    db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
                ]
                if marks != [APPLICATION, SCHEMA]:
                    raise _no_history(path, "it was made by another program, or another version of this one")
                yield db
        except sqlite3.OperationalError as error:  # locked, read-only, full
            raise OutputError(f"the history cannot be used: {error}", where=str(path)) from error
        except sqlite3.DatabaseError as error:
            raise _no_history(path, str(error)) from error


def _no_history(path: Path, why: str) -> InputError:
    return InputError(f"this is no history of measurements: {why}", where=str(path), fix="name another file")
