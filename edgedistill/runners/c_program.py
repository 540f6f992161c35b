"""Makes a program of a model in C and a driver, and takes its answers to inputs.

Which compiler, and what runs the program, is the caller's to say: this machine, or an emulator of another.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import GateError
from edgedistill.runners import c_source, programs
from edgedistill.runners.c_source import CSource

FLAGS = ("-std=c99", "-O2")
COMPILE_S = 300
RUN_S = 600


def answers(
    c_folder: Path, inputs: NDArray[np.int8], cc: Sequence[str], *, under: Sequence[str] = ()
) -> NDArray[np.int8]:
    """Outputs int8 [N, bytes] for ``inputs`` int8 [N, ...].

    Args:
        c_folder: with the two C files of a model.
        inputs: as many as there are answers.
        cc: the compiler and its flags.
        under: what runs the program, such as an emulator; empty: nothing.

    Raises:
        InputError: there is no model in the folder.
        GateError: it cannot be compiled, or does not answer every input.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source, program = built(c_folder, inputs, cc, folder, "c_driver.c")
        ended = programs.run([*under, program, "inputs.bin", "outputs.bin"], seconds=RUN_S, folder=folder)
        found = np.frombuffer((folder / "outputs.bin").read_bytes(), np.int8) if ended.code == 0 else None
        if found is None or len(found) % len(inputs):
            raise GateError(
                f"the C program ended with {ended.code} before it had answered {len(inputs)} inputs",
                where=str(source.source),
                fix="use the C files as they were built",
            )
        return found.reshape(len(inputs), -1)


def timer(c_folder: Path, x: NDArray[np.int8], cc: Sequence[str]) -> Path:
    """A program for ``latency_ms``, in a new folder within ``c_folder``, for an input ``x`` int8 [1, ...].

    Raises:
        InputError: there is no model in the folder.
        GateError: it cannot be compiled.
    """
    folder = c_folder / "timer"
    folder.mkdir()
    return built(c_folder, x, cc, folder, "c_timer.c")[1]


def latency_ms(program: Path, *, runs: int, warmup: int) -> NDArray[np.float64]:
    """Wall-clock time in ms of each of ``runs`` inferences of a ``timer`` on this machine.

    Raises:
        GateError: it does not say as many times.
    """
    command: list[str | Path] = [program, "inputs.bin", str(warmup), str(runs)]
    ended = programs.run(command, seconds=RUN_S, folder=program.parent)
    said = ended.out.split()
    if ended.code != 0 or len(said) != runs or not all(map(str.isdecimal, said)):
        raise GateError(
            f"the C program ended with {ended.code} and said {len(said)} times instead of {runs}",
            where=str(program),
            fix="run it again",
        )
    return np.array([int(nanoseconds) for nanoseconds in said]) / 1e6


def built(
    c_folder: Path, inputs: NDArray[np.int8], cc: Sequence[str], folder: Path, driver: str
) -> tuple[CSource, Path]:
    """A model's files, and the program of it and a driver in ``folder``, beside inputs.bin.

    Raises:
        InputError: there is no model in ``c_folder``.
        GateError: it cannot be compiled.
    """
    source = c_source.find(c_folder)
    text = resources.files("edgedistill.runners").joinpath(driver).read_text(encoding="utf-8")
    (folder / "driver.c").write_text(text, encoding="utf-8")
    (folder / "model_under_test.h").write_text(source.macros(), encoding="utf-8")
    (folder / "inputs.bin").write_bytes(np.ascontiguousarray(inputs).tobytes())
    program = folder / "program"
    where = f"-I{source.header.parent}"
    command = [*cc, where, "-o", program.name, "driver.c", str(source.source)]
    ended = programs.run(command, seconds=COMPILE_S, folder=folder)
    if ended.code != 0:
        raise GateError(
            f"the C files could not be compiled: {ended.last_words}",
            where=str(source.source),
            fix="use the C files as they were built",
        )
    return source, program


def version(cc: str) -> str:
    """``gcc 12.2.0``, from the first line of what the compiler says of itself."""
    line = programs.first_line(cc)
    number = re.search(r"\d+\.\d+(\.\d+)?", re.sub(r"\([^)]*\)", "", line))
    return f"{'clang' if 'clang' in line else cc} {number[0] if number else ''}".strip()
