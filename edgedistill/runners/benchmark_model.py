"""Runs LiteRT's own benchmark_model on a phone, and reads what it prints.

The format is that of tensorflow/lite/tools/benchmark: README.md, benchmark_model.cc (the lines "Inference
timings in us" and "Memory footprint delta"), and tsl/util/stats_calculator.h (the line "count=").
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import GateError, InputError
from edgedistill.runners.aarch64_system.sysroot import cache
from edgedistill.runners.adb import Phone
from edgedistill.runners.battery import Load, Work

VARIABLE = "EDGEDISTILL_BENCHMARK_MODEL"
PROGRAM = "benchmark_model"
MOST_S = 150  # the tool's own limit of the timed runs (--max_secs)
MIB = 2**20  # what the tool calls MB: it divides kB of 1,024 by 1,024
_NUMBER = r"(-?\d{1,15}(?:\.\d{1,12})?(?:e[+-]?\d{1,2})?)"  # C++ writes large ones as 1.45e+06


@dataclass(frozen=True)
class Counts:
    """A line ``count=...`` of the tool, in µs; what older tools do not print is None."""

    count: int
    first: float
    minimum: float
    maximum: float
    mean: float
    std: float
    p5: float | None = None
    median: float | None = None
    p95: float | None = None


@dataclass(frozen=True)
class Operators:
    """One row of "Summary by node type"."""

    kind: str
    count: int
    mean_ms: float
    share: float  # 0..1


@dataclass(frozen=True)
class Report:
    """Times in µs. Memory is what the process has beyond its start; None: not printed."""

    init_us: float
    first_us: float
    warmup_us: float
    inference_us: float
    timed: Counts | None
    init_bytes: int | None
    overall_bytes: int | None
    peak_bytes: int | None
    operators: tuple[Operators, ...] = ()


def find(named: Path | None = None) -> Path | None:
    """The tool for 64-bit Arm Android: by option or variable, or in the user's cache; None: nowhere.

    Raises:
        InputError: there is no such file.
    """
    cached = cache() / PROGRAM
    if named is None and not os.environ.get(VARIABLE):
        return cached if cached.is_file() else None
    said = named if named is not None else Path(os.environ[VARIABLE])
    if not said.is_file():
        raise InputError(
            f"there is no file {said}",
            where="--benchmark-model" if named is not None else VARIABLE,
            fix="name LiteRT's benchmark_model for Android on 64-bit Arm",
        )
    return said


def put(phone: Phone, tool: Path, folder: PurePosixPath) -> None:
    """Copies the tool.

    Raises:
        GateError: the phone is lost, or has no room.
    """
    phone.push(tool, folder / PROGRAM)
    phone.must(["chmod", "700", str(folder / PROGRAM)], "the tool cannot be made a program")


def measure(
    phone: Phone, folder: PurePosixPath, model: PurePosixPath, *, runs: int, warmup: int, threads: int
) -> Report:
    """What it measures with inputs of its own making.

    Raises:
        GateError: it fails, or the phone is lost or hangs.
    """
    options = [f"--num_runs={runs}", f"--warmup_runs={warmup}", f"--max_secs={MOST_S}"]
    return parse(_run(phone, folder, model, threads, options), phone.serial)


def profile(
    phone: Phone, folder: PurePosixPath, model: PurePosixPath, *, threads: int
) -> tuple[Operators, ...]:
    """What each kind of operator takes, in a run of its own: profiling slows the others down.

    Raises:
        GateError: as ``measure``.
    """
    return parse(_run(phone, folder, model, threads, ["--enable_op_profiling=true"]), phone.serial).operators


def answer(
    phone: Phone,
    folder: PurePosixPath,
    model: PurePosixPath,
    inputs: NDArray[np.int8],
    output_bytes: int,
    *,
    threads: int,
    here: Path,
) -> NDArray[np.int8]:
    """Outputs int8 [N, bytes] for ``inputs`` int8 [N, ...], one process each; ``here``: a temporary folder.

    Raises:
        GateError: it fails, or is too old for ``--output_filepath``, or the phone is lost or hangs.
    """
    shape = ",".join(str(size) for size in (1, *inputs.shape[1:]))
    found = []
    for x in inputs:
        (here / "x.bin").write_bytes(np.ascontiguousarray(x).tobytes())
        phone.push(here / "x.bin", folder / "x.bin")
        options = ["--num_runs=1", "--warmup_runs=1", "--min_secs=0", "--warmup_min_secs=0"]
        options += ["--input_layer=x", f"--input_layer_shape={shape}"]  # another name is a warning
        options += [
            f"--input_layer_value_files=x:{folder / 'x.bin'}",
            f"--output_filepath={folder / 'y.bin'}",
        ]
        _run(phone, folder, model, threads, options)
        found.append(np.frombuffer(phone.pull(folder / "y.bin", output_bytes), np.int8))
    return np.array(found)


def work(folder: PurePosixPath, model: PurePosixPath, *, threads: int, seconds: float) -> Work:
    """The tool as a load of so many seconds."""
    options = ["--num_runs=1", "--warmup_runs=0", "--warmup_min_secs=0", f"--min_secs={seconds:g}"]
    return Work(tuple(_command(folder, model, threads, options)), loaded)


def loaded(text: str) -> Load | None:
    """What the tool says of a load; None: nothing."""
    timed = next((found for line in reversed(text.splitlines()) if (found := _counts(line))), None)
    if timed is None or timed.count < 1 or timed.mean <= 0:
        return None
    return Load(timed.count, timed.count * timed.mean / 1e6)


def _command(folder: PurePosixPath, model: PurePosixPath, threads: int, options: Sequence[str]) -> list[str]:
    return [str(folder / PROGRAM), f"--graph={model}", f"--num_threads={threads}", *options]


def _run(
    phone: Phone, folder: PurePosixPath, model: PurePosixPath, threads: int, options: Sequence[str]
) -> str:
    command = _command(folder, model, threads, options)
    ended = phone.script(f"cd {folder} && exec {shlex.join(command)}", seconds=2 * MOST_S)
    if ended.code != 0:
        raise GateError(
            f"benchmark_model ended with {ended.code}: {ended.last_words}",
            where=phone.serial,
            fix="take one for Android on 64-bit Arm that is as new as the model",
        )
    return f"{ended.out}\n{ended.err}"  # its log goes to either, by version


def parse(text: str, where: str = "") -> Report:
    """What the tool printed, with whatever stands before its words (``INFO: ``, logcat's columns).

    Raises:
        GateError: there is no line "Inference timings in us".
    """
    timings = re.search(
        rf"Inference timings in us: Init: {_NUMBER}, First inference: {_NUMBER}, "
        rf"Warmup \(avg\): {_NUMBER}, Inference \(avg\): {_NUMBER}",
        text,
    )
    if timings is None:
        last = text.strip()[-300:] or "nothing"
        raise GateError(
            f"benchmark_model gave no timings; it said: {last}",
            where=where,
            fix="take a benchmark_model of TensorFlow 2.3 or newer, or of LiteRT",
        )
    counts = [found for line in text.splitlines() if (found := _counts(line)) is not None]
    memory = re.search(
        rf"Memory footprint delta from the start of the tool \(MB\): init={_NUMBER} overall={_NUMBER}", text
    )
    peak = re.search(rf"Overall peak memory footprint \(MB\) via periodic monitoring: {_NUMBER}", text)
    init, first, warmup, inference = (float(value) for value in timings.groups())
    return Report(
        init,
        first,
        warmup,
        inference,
        counts[-1] if counts else None,  # of the warm-up first, then of the timed runs
        round(float(memory[1]) * MIB) if memory else None,
        round(float(memory[2]) * MIB) if memory else None,
        round(float(peak[1]) * MIB) if peak else None,
        tuple(_operators(text)),
    )


def _counts(line: str) -> Counts | None:
    at = re.search(r"(?:^|\s)(count=\d.*)$", line)
    said = dict(re.findall(rf"(\w+)={_NUMBER}", at[1])) if at and "Timings" not in line else {}
    if not {"count", "first", "min", "max", "avg", "std"} <= said.keys():
        return None
    value = {name: float(number) for name, number in said.items()}
    return Counts(
        int(value["count"]),
        value["first"],
        value["min"],
        value["max"],
        value["avg"],
        value["std"],
        value.get("p5"),
        value.get("median"),
        value.get("p95"),
    )


def _operators(text: str) -> list[Operators]:
    """Of ``--enable_op_profiling=true``; the columns are named in the table's second line."""
    _, title, table = text.partition("Summary by node type")
    if not title:
        return []
    found = []
    for line in table.splitlines()[2:]:  # the rest of the title, and the columns' names
        cells = [cell.strip() for cell in line.strip().split("\t")]
        row = len(cells) == 7 and re.fullmatch(r"\d{1,9}", cells[1]) and re.fullmatch(r"[\d.]+%", cells[3])
        if not row:
            break
        found.append(Operators(cells[0], int(cells[1]), float(cells[2]), float(cells[3][:-1]) / 100))
    return found
