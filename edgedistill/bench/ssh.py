"""Proves and measures a finished build on a Linux board of the user's, over ssh."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from edgedistill.bench import emulated, ssh_job, ssh_rows
from edgedistill.bench.files import GOLDEN, C, split
from edgedistill.bench.places import Found, Request
from edgedistill.bench.ssh_job import Failed, Missing, Pace, Report, Task
from edgedistill.errors import GateError, InputError
from edgedistill.ir import golden
from edgedistill.runners import c_source, openssh
from edgedistill.runners.followed import shown
from edgedistill.runners.openssh import Connection, Limits

PYTHON = "python3"
KINDS: Mapping[str, Literal["tflite", "onnx"]] = MappingProxyType({".tflite": "tflite", ".onnx": "onnx"})
_SILENT_S = 60.0  # beyond what a step may take


def bench(request: Request) -> Found:
    """Measures the build on the board at ``USER@HOST[:PORT]``.

    Raises:
        InputError: as ``measure``, or the address is none.
        GateError: as ``measure``.
    """
    return measure(request, Pace())


def measure(request: Request, pace: Pace, limits: Limits | None = None) -> Found:
    """Latency, peak memory and energy on the board, and every byte of the golden inputs.

    Raises:
        InputError: there is no model, the board cannot be reached or has no Python or runtime, or C files
            alone are named and not trusted.
        GateError: the board does not answer in time, the connection is cut, or a model does not run there.
    """
    address = openssh.parse(request.address)
    where = f"ssh:{address}"
    python = board_python(request.python)
    tasks, rest = _tasks(request)
    report = Report(where)
    with tempfile.TemporaryDirectory() as temporary:
        archive = Path(temporary) / "run.pyz"
        ssh_job.pack(archive, tasks, pace, request)
        with Connection(address, request.ssh_config, limits) as board:
            there = board.put(archive, archive.name)
            seconds = 120 + pace.idle_s + len(tasks) * 2 * (pace.step_s + pace.windows * pace.window_s)
            ended = board.lines(
                [python, "-B", there, python], report.add, seconds=seconds, silence_s=pace.step_s + _SILENT_S
            )
    _check(report, python, ended.code, shown(ended.last_words.splitlines()[-1]), tasks)
    return ssh_rows.found(report, tasks, rest, request)


def board_python(given: str | None) -> str:
    """The board's Python as a program's path; ``~/`` is where ssh begins anyway.

    Raises:
        InputError: it is no path.
    """
    path = (given or PYTHON).removeprefix("~/")
    if not path or path.startswith("-") or not path.isprintable():
        raise InputError(
            f"{given!r} is no path of a program",
            where="--python",
            fix="give the path on the board, such as --python edgedistill/bin/python",
        )
    return path


def install_line(executable: str, packages: list[str]) -> str:
    """What to type on the board, so that its Python has the packages; systems guard their own Python."""
    environment = f"{shlex.quote(executable)} -m venv edgedistill"
    pip = f"edgedistill/bin/pip install {' '.join(map(shlex.quote, packages))}"
    return f"on the board: {environment} && {pip}; then pass --python edgedistill/bin/python"


def _tasks(request: Request) -> tuple[list[Task], bool]:
    """What is run there; and whether C files are left alone, for nobody trusts them.

    Raises:
        InputError: nothing is left to run, or there are no golden inputs.
    """
    folder, models = split(request.path)
    tasks, untrusted = [], False
    files = [model for model in models if model.suffix in KINDS]
    if files:
        vectors = golden.load(folder / GOLDEN)
        tasks += [Task(file, KINDS[file.suffix], vectors) for file in files]
    for model in models:
        if model.name == C and c_source.has_c(model):
            if request.trust:
                tasks.append(Task(model, "c", emulated.c_vectors(folder), emulated.family_of(folder)))
            else:
                untrusted = True
    if not tasks and untrusted:
        raise emulated.untrusted(folder / C)
    if not tasks:
        raise InputError(
            "there is no model that a Linux board runs",
            where=str(request.path),
            fix="build with --formats tflite,onnx or c",
        )
    return tasks, untrusted


def _check(report: Report, python: str, code: int, last_words: str, tasks: list[Task]) -> None:
    """That the board did all it was asked to.

    Raises:
        InputError: it has no Python, an old one, or no runtime for any model.
        GateError: it ended before, or a model does not run there.
    """
    if report.old_python is not None:
        raise InputError(
            f"the board's Python is {report.old_python}, 3.9 is needed",
            where=report.where,
            fix="name another one with --python",
        )
    if code in (126, 127) and report.system is None:
        raise InputError(
            f"there is no program {python} on the board: {last_words}",
            where=report.where,
            fix="install it there (Debian: apt-get install python3), or name another one with --python",
        )
    if "No space left" in last_words:
        raise GateError(
            f"the disk of the board is full: {last_words}",
            where=report.where,
            fix="make room there, or set TMPDIR to another folder in the board's environment",
        )
    if not report.ended or report.system is None or report.meter is None or len(report.states) != 2:
        raise GateError(
            f"the board's program ended with {code} at {report.step}: {last_words}",
            where=report.where,
            fix="see the board's own log (dmesg), then run it again",
        )
    missing = [said for said in report.failed.values() if isinstance(said, Missing)]
    for index, said in report.failed.items():
        if isinstance(said, Failed):
            path = tasks[index].path if index < len(tasks) else "a model"
            raise GateError(
                f"the model does not run on the board: {said.reason}",
                where=str(path),
                fix="see whether another version of the runtime runs it, and report the difference",
            )
    if set(report.answered) | set(report.failed) != set(range(len(tasks))):
        raise GateError("the board did not answer for every model", where=report.where, fix="run it again")
    if not report.answered:
        packages = sorted({said.install for said in missing if said.install})
        raise InputError(
            f"nothing runs on the board: {'; '.join(sorted({said.reason for said in missing}))}",
            where=report.where,
            fix=install_line(report.system.executable, packages) if packages else missing[0].reason,
        )
