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
    source = c_source.find(c_folder)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        driver = resources.files("edgedistill.runners").joinpath("c_driver.c").read_text(encoding="utf-8")
        (folder / "driver.c").write_text(driver, encoding="utf-8")
        (folder / "model_under_test.h").write_text(source.macros(), encoding="utf-8")
        (folder / "inputs.bin").write_bytes(np.ascontiguousarray(inputs).tobytes())
        program = folder / "program"
        where = f"-I{source.header.parent}"
        command = [*cc, where, "-o", program.name, "driver.c", str(source.source)]
        built = programs.run(command, seconds=COMPILE_S, folder=folder)
        if built.code != 0:
            raise GateError(
                f"the C files could not be compiled: {built.last_words}",
                where=str(source.source),
                fix="use the C files as they were built",
            )
        ended = programs.run([*under, program, "inputs.bin", "outputs.bin"], seconds=RUN_S, folder=folder)
        found = np.frombuffer((folder / "outputs.bin").read_bytes(), np.int8) if ended.code == 0 else None
        if found is None or len(found) % len(inputs):
            raise GateError(
                f"the C program ended with {ended.code} before it had answered {len(inputs)} inputs",
                where=str(source.source),
                fix="use the C files as they were built",
            )
        return found.reshape(len(inputs), -1)


def version(cc: str) -> str:
    """``gcc 12.2.0``, from the first line of what the compiler says of itself."""
    line = programs.first_line(cc)
    number = re.search(r"\d+\.\d+(\.\d+)?", re.sub(r"\([^)]*\)", "", line))
    return f"{'clang' if 'clang' in line else cc} {number[0] if number else ''}".strip()
