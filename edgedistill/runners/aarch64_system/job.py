"""What the emulated 64-bit Arm is asked to run, as files, and what it says of it, read strictly.

The other side is guest.py. A console also shows the kernel's words and the runtimes'; a line of the job
carries a checksum, so that words which fell into it are noticed.
"""

from __future__ import annotations

import base64
import json
import math
import re
import shutil
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from edgedistill.errors import GateError
from edgedistill.runners.aarch64_system.guest import LOOP, MARK

Runtime = Literal["litert", "onnxruntime"]
WARMUP, RUNS = 2, 5
"""The first inferences prepare; of five, all but the last have counted the same in LiteRT."""

_LINE = re.compile(rf"{MARK} ([0-9a-f]{{8}}) (\{{.*\}})")
_TOLERANCE = LOOP // 100  # a call from Python into the loop varies by some hundred instructions
_SHOWN = 400  # characters of a console's last words
_MOST_ANSWER_BYTES = 2**28  # of one model to all its inputs, unpacked


@dataclass(frozen=True, eq=False)
class Task:
    """One model to run.

    ``inputs``: of its first input, a row [...] each run of batch 1; None: random ones from ``seed``, by the
    model's own signature. ``alone``: in a fresh process, whose peak memory is then the model's.
    """

    model: Path
    runtime: Runtime
    inputs: NDArray[Any] | None = None
    alone: bool = False
    threads: int = 1
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Counted:
    """What one model did on an emulated 64-bit Arm, which counts instructions and knows no time."""

    model: Path
    runtime: str  # "litert 2.3.0"
    cpu: str  # QEMU's name
    threads: int
    instructions: tuple[int, ...]  # of each counted inference outside the kernel; empty in user mode
    baseline_bytes: int | None  # resident, with the runtime and without the model; None: not alone
    peak_bytes: int | None
    outputs: NDArray[Any] | None  # [N, ...] for N inputs; None: inputs were random
    sha256: str  # of the outputs' bytes

    @property
    def least(self) -> int:
        """Instructions of the inference that took least: what is more is interrupts' and caches' upkeep."""
        return min(self.instructions)

    @property
    def median(self) -> float:
        return float(np.median(self.instructions))


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Count = Annotated[int, Field(gt=0, lt=2**63)]


class _System(_Said):
    kind: Literal["system"]
    kernel: str
    loop: int | None


class _Model(_Said):
    kind: Literal["model"]
    model: Annotated[int, Field(ge=0)]
    runtime: str
    instructions: tuple[_Count, ...]
    baseline_bytes: _Count | None
    peak_bytes: _Count | None
    dtype: Literal["int8", "uint8", "int16", "int32", "int64", "float16", "float32", "bool"]
    shape: tuple[Annotated[int, Field(ge=0)], ...]
    sha256: str
    outputs: str


class _Failed(_Said):
    kind: Literal["failed"]
    model: Annotated[int, Field(ge=0)] | None = None  # None: the job itself
    error: str


class _End(_Said):
    kind: Literal["end"]
    models: int


_ANSWER: TypeAdapter[_System | _Model | _Failed | _End] = TypeAdapter(
    Annotated[_System | _Model | _Failed | _End, Field(discriminator="kind")]
)


def write(folder: Path, tasks: Sequence[Task], *, count: bool) -> None:
    """Writes job.json, the models and their inputs. ``count``: for a booted system."""
    rows = []
    for index, task in enumerate(tasks):
        name = f"{index}{task.model.suffix}"
        shutil.copyfile(task.model, folder / name)
        inputs = ""
        if task.inputs is not None:
            inputs = f"{index}.npy"
            np.save(folder / inputs, np.ascontiguousarray(task.inputs), allow_pickle=False)
        rows.append(
            {
                "file": name,
                "runtime": task.runtime,
                "inputs": inputs,
                "alone": task.alone and count,
                "threads": task.threads,
                "seed": task.seed,
                "warmup": WARMUP if count else 0,
                "runs": RUNS,
            }
        )
    (folder / "job.json").write_text(json.dumps({"count": count, "models": rows}), encoding="utf-8")


def read(console: str, tasks: Sequence[Task], *, count: bool, cpu: str, where: str) -> tuple[Counted, ...]:
    """What a console showed, one result for each task, in their order.

    Raises:
        GateError: a model failed, the system did, or a line is missing or garbled.
    """
    found: dict[int, Counted] = {}
    proven, ended = False, False
    for row in console.splitlines():
        position = row.find(MARK)
        if position < 0:
            continue
        said = _parse(row[position:].strip(), where)
        if isinstance(said, _Model | _Failed) and said.model is not None and said.model >= len(tasks):
            raise _garbled(row, where)
        match said:
            case _System():
                if said.loop is not None and abs(said.loop - 2 * LOOP) > _TOLERANCE:
                    raise GateError(
                        f"the emulator counted {said.loop:,} instructions for {2 * LOOP:,}",
                        where=where,
                        fix="use QEMU 7.2 or newer, which counts with -icount",
                    )
                proven = said.loop is not None
            case _Failed():
                name = where if said.model is None else str(tasks[said.model].model)
                raise GateError(
                    f"on an emulated {cpu} it did not run: {said.error.strip()[-1_500:]}",
                    where=name,
                    fix="check that the model runs on this machine (edgedistill verify)",
                )
            case _Model():
                if not _whole(said, tasks[said.model], count):
                    raise _garbled(row, where)
                found[said.model] = _counted(said, tasks[said.model], cpu, where)
            case _End():
                ended = True
    if not ended or set(found) != set(range(len(tasks))):
        done = f"{len(found)} of {len(tasks)} models"
        raise GateError(
            f"the emulated system ended early, with {done}: {_last_words(console)}",
            where=where,
            fix="try again on an idle machine with more free memory",
        )
    if count and not proven:
        raise GateError("the emulated system did not try its counter", where=where, fix="run it again")
    return tuple(found[index] for index in range(len(tasks)))


def _parse(row: str, where: str) -> _System | _Model | _Failed | _End:
    match = _LINE.fullmatch(row)
    if match is None or int(match[1], 16) != zlib.crc32(match[2].encode()):
        raise _garbled(row, where)
    try:
        return _ANSWER.validate_json(match[2])
    except ValidationError:
        raise _garbled(row, where) from None


def _whole(said: _Model, task: Task, count: bool) -> bool:
    """Whether a model's counts and bytes are all there."""
    sizes = (said.baseline_bytes, said.peak_bytes)
    return len(said.instructions) == (RUNS if count else 0) and not (count and task.alone and None in sizes)


def _counted(said: _Model, task: Task, cpu: str, where: str) -> Counted:
    outputs = None
    if task.inputs is not None:
        size = math.prod(said.shape) * np.dtype(said.dtype).itemsize
        try:
            packed = base64.b64decode(said.outputs, validate=True)
            content = zlib.decompressobj().decompress(packed, min(size, _MOST_ANSWER_BYTES) + 1)
            outputs = np.frombuffer(content, said.dtype).reshape(said.shape)
        except (ValueError, zlib.error):
            raise _garbled(said.outputs, where) from None
    return Counted(
        model=task.model,
        runtime=said.runtime,
        cpu=cpu,
        threads=task.threads,
        instructions=said.instructions,
        baseline_bytes=said.baseline_bytes,
        peak_bytes=said.peak_bytes,
        outputs=outputs,
        sha256=said.sha256,
    )


def _garbled(row: str, where: str) -> GateError:
    return GateError(
        f"a line of the emulated system is garbled: {row[:120]!r}", where=where, fix="run it again"
    )


def _last_words(console: str) -> str:
    """A kernel's panic if there is one, else the end of what was shown."""
    lines = [line.strip() for line in console.splitlines() if line.strip() and MARK not in line]
    panic = next((line for line in lines if "Kernel panic" in line or "Out of memory" in line), None)
    return panic or (" / ".join(lines[-4:]) or "it said nothing")[-_SHOWN:]
