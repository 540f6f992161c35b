"""Packs a job for a board into one zip file that Python runs, and reads what the board says of it.

What the board says is not trusted: every line is checked, and what is shown cannot move a cursor.
"""

from __future__ import annotations

import base64
import json
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from edgedistill.bench.accuracy import REAL_STEP
from edgedistill.bench.latency import MOST, SECONDS
from edgedistill.bench.on_board.program import JOB, MARK
from edgedistill.bench.places import Request
from edgedistill.errors import GateError, InputError
from edgedistill.ir.golden import Golden
from edgedistill.ir.interpret import Family
from edgedistill.runners import c_source
from edgedistill.runners.followed import shown
from edgedistill.units import format_bytes

MODULES = (
    "bench/statistics.py",
    *(f"bench/on_board/{name}.py" for name in ("facts", "loaded", "meters", "program")),
)
PACKAGES = ("", "bench", "bench/on_board")
MOST_BYTES = 512 * 2**20  # of a job

_MAIN = f"""import sys

if sys.version_info < (3, 9):
    print('{MARK} {{"kind": "old", "python": "%d.%d"}}' % sys.version_info[:2])
    sys.exit(0)
from edgedistill.bench.on_board.program import main

sys.exit(main())
"""
_C_NAME = re.compile(r"edgedistill_[A-Za-z0-9_]{1,100}", re.ASCII)


@dataclass(frozen=True)
class Pace:
    """How long each step takes at most, in seconds; ``root`` is where the board's /proc and /sys lie."""

    latency_s: float = SECONDS  # of a model, after which no further sample is asked for
    step_s: float = 300.0  # of one model, before it is given up
    idle_s: float = 5.0
    windows: int = 6  # that energy is measured in, for each model: the fewest that give an interval
    window_s: float = 2.0
    sample_s: float = 0.1  # between two looks at a meter
    root: str = "/"


@dataclass(frozen=True, eq=False)
class Task:
    """One model of a job, with what it must answer."""

    path: Path
    kind: Literal["tflite", "onnx", "c"]
    vectors: Golden
    family: Family = "F"

    @property
    def is_float(self) -> bool:
        return "float32" in self.path.name


def pack(archive: Path, tasks: Sequence[Task], pace: Pace, request: Request) -> None:
    """Writes the zip file. In it, files have names of ours, whatever they are called here.

    Raises:
        InputError: a model cannot be read, or all are too large.
    """
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("__main__.py", _MAIN)
        for package in PACKAGES:
            file.writestr("/".join(part for part in ("edgedistill", package, "__init__.py") if part), "")
        for module in MODULES:
            text = resources.files("edgedistill").joinpath(module).read_text(encoding="utf-8")
            file.writestr(f"edgedistill/{module}", text)
        models = [_add(file, index, task) for index, task in enumerate(tasks)]
        job = {
            "models": models,
            "least": request.runs,
            "most": max(request.runs, MOST) if request.adaptive else request.runs,
            "seconds": pace.latency_s if request.adaptive else pace.step_s / 2,
            "warmup": request.warmup,
            "threads": request.threads_or_default,
            "real_step": REAL_STEP,
            "step_s": pace.step_s,
            "idle_s": pace.idle_s,
            "windows": pace.windows,
            "window_s": pace.window_s,
            "sample_s": pace.sample_s,
            "root": pace.root,
        }
        file.writestr(f"{JOB}job.json", json.dumps(job))
    size = archive.stat().st_size
    if size > MOST_BYTES:
        raise InputError(
            f"models and golden inputs take {format_bytes(size)}, {format_bytes(MOST_BYTES)} at most",
            where=str(tasks[0].path.parent),
            fix="give one model instead of the folder",
        )


def _add(file: zipfile.ZipFile, index: int, task: Task) -> dict[str, object]:
    name = f"model-{index}.{task.kind}"
    if task.kind == "c":
        name = _add_c(file, task.path)
    else:
        try:
            file.writestr(f"{JOB}{name}", task.path.read_bytes())
        except OSError as error:
            raise InputError(f"a model cannot be read: {error.strerror}", where=str(task.path)) from error
    inputs = f"inputs-{index}.bin"
    file.writestr(f"{JOB}{inputs}", np.ascontiguousarray(task.vectors.inputs).tobytes())
    return {
        "file": name,
        "kind": task.kind,
        "float": task.is_float,
        "energy": not task.is_float,
        "inputs": inputs,
        "shape": list(task.vectors.inputs.shape[1:]),
    }


def _add_c(file: zipfile.ZipFile, folder: Path) -> str:
    """The C files and their drivers; the source's name."""
    source = c_source.find(folder)
    if not _C_NAME.fullmatch(source.name):
        raise InputError(
            f"{source.name!r} is no name of C files of ours",
            where=str(folder),
            fix="use the C files as they were built",
        )
    for path in (source.header, source.source):
        file.writestr(f"{JOB}{path.name}", path.read_bytes())
    file.writestr(f"{JOB}model_under_test.h", source.macros())
    for program in ("driver", "timer"):
        text = resources.files("edgedistill.runners").joinpath(f"c_{program}.c").read_text(encoding="utf-8")
        file.writestr(f"{JOB}{program}.c", text)
    return source.source.name


Text = Annotated[str, AfterValidator(shown)]
Positive = Annotated[float, Field(gt=0, lt=1e9, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Index = Annotated[int, Field(ge=0, lt=100)]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Old(_Line):
    kind: Literal["old"]
    python: Text


class System(_Line):
    """What the board says of itself."""

    kind: Literal["system"]
    board: Text
    processor: Text
    cores: int
    machine: Text
    kernel: Text
    os: Text
    python: Text
    executable: Text


class State(_Line):
    """Its heat and clocks at one moment."""

    kind: Literal["state"]
    temperatures_c: dict[Text, Number]
    frequencies_mhz: list[Number]
    governors: list[Text]
    throttled: Annotated[int, Field(ge=0, lt=2**32)] | None


class MeterFound(_Line):
    kind: Literal["meter"]
    name: Text | None
    sees: Text
    reasons: list[Text]


class Step(_Line):
    kind: Literal["step"]
    words: Text


class Idle(_Line):
    """The meter's watts before any model ran, at times in seconds of the board's monotonic clock."""

    kind: Literal["idle"]
    times_s: list[Number]
    watts: list[Number]
    problem: Text


class Answered(_Line):
    """One model's times, memory and answers."""

    kind: Literal["model"]
    model: Index
    runtime: Text
    times_ms: Annotated[list[Positive], Field(min_length=1)]
    peak_bytes: Annotated[int, Field(ge=0)] | None
    baseline_bytes: Annotated[int, Field(ge=0)] | None
    answers: str
    frequencies_mhz: list[Number]


class Failed(_Line):
    kind: Literal["failed"]
    model: Index
    reason: Text


class Missing(_Line):
    kind: Literal["missing"]
    model: Index
    reason: Text
    install: Text


class Load(_Line):
    """Windows in which a model ran over and over: when each began and ended, and how many times."""

    kind: Literal["load"]
    model: Index
    windows: Annotated[list[tuple[Number, Number, Annotated[int, Field(gt=0)]]], Field(min_length=1)]


class Trace(_Line):
    """The meter's watts meanwhile."""

    kind: Literal["trace"]
    model: Index
    times_s: list[Number]
    watts: list[Number]
    problem: Text


class End(_Line):
    kind: Literal["end"]


_ANY: TypeAdapter[
    Old | System | State | MeterFound | Step | Idle | Answered | Failed | Missing | Load | Trace | End
] = TypeAdapter(
    Annotated[
        Old | System | State | MeterFound | Step | Idle | Answered | Failed | Missing | Load | Trace | End,
        Field(discriminator="kind"),
    ]
)


@dataclass
class Report:
    """All that a board said, line by line."""

    where: str
    system: System | None = None
    states: list[State] = field(default_factory=list)
    meter: MeterFound | None = None
    idle: Idle | None = None
    answered: dict[int, Answered] = field(default_factory=dict)
    failed: dict[int, Failed | Missing] = field(default_factory=dict)
    loads: dict[int, Load] = field(default_factory=dict)
    traces: dict[int, Trace] = field(default_factory=dict)
    step: str = "the beginning"
    old_python: str | None = None
    ended: bool = False

    def add(self, line: str) -> None:
        """Takes one line; those that are not the program's own (of a login shell) are passed over.

        Raises:
            GateError: it is garbled.
        """
        mark, _, content = line.partition(" ")
        if mark != MARK:
            return
        try:
            said = _ANY.validate_json(content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise GateError(
                f"the board answered what nobody asked: {place}: {first['msg']}",
                where=self.where,
                fix="run it again",
            ) from error
        if isinstance(said, Answered):
            self.answered[said.model] = said
        elif isinstance(said, Failed | Missing):
            self.failed[said.model] = said
        elif isinstance(said, Load):
            self.loads[said.model] = said
        elif isinstance(said, Trace):
            self.traces[said.model] = said
        elif isinstance(said, State):
            self.states.append(said)
        elif isinstance(said, System):
            self.system = said
        elif isinstance(said, MeterFound):
            self.meter = said
        elif isinstance(said, Idle):
            self.idle = said
        elif isinstance(said, Step):
            self.step = said.words
        elif isinstance(said, Old):
            self.old_python = said.python
        else:
            self.ended = True

    def outputs(self, index: int, like: NDArray[np.int8]) -> NDArray[np.int8]:
        """A model's answers in the shape of ``like``.

        Raises:
            GateError: they are garbled, or more or fewer.
        """
        try:
            packed = base64.b64decode(self.answered[index].answers, validate=True)
            content = zlib.decompressobj().decompress(packed, like.nbytes + 1)
        except (ValueError, zlib.error) as error:
            raise GateError("a model's answers are garbled", where=self.where, fix="run it again") from error
        if len(content) != like.nbytes:
            raise GateError(
                f"a model answered {len(content):,} bytes{' or more' * (len(content) > like.nbytes)} "
                f"where {like.nbytes:,} are known to be right",
                where=self.where,
                fix="give the golden.npz that was built with the model",
            )
        return np.frombuffer(content, np.int8).reshape(like.shape)
