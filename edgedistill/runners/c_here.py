"""Compiles a model in C with this machine's compiler and runs it, as if it were the network."""

from __future__ import annotations

import re
import shutil
import tempfile
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import GateError
from edgedistill.runners import c_source, programs

COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-std=c99", "-O2")
COMPILE_S = 300
RUN_S = 600


def compiler() -> str | None:
    """The first C compiler on the PATH."""
    return next((name for name in COMPILERS if shutil.which(name) is not None), None)


def reason_not_runnable() -> str | None:
    """Why models in C cannot be run here, or None where they can."""
    return None if compiler() else f"there is no C compiler here ({', '.join(COMPILERS)})"


def run(c_folder: Path, inputs: NDArray[np.int8]) -> tuple[NDArray[np.int8], str]:
    """Outputs int8 [N, bytes] for ``inputs`` int8 [N, ...], and the compiler's name and version.

    Raises:
        InputError: there is no model in the folder.
        GateError: it cannot be compiled, or does not answer every input.
    """
    cc = compiler()
    assert cc is not None, "reason_not_runnable() says why"
    source = c_source.find(c_folder)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        driver = resources.files("edgedistill.runners").joinpath("c_driver.c").read_text(encoding="utf-8")
        (folder / "driver.c").write_text(driver, encoding="utf-8")
        (folder / "model_under_test.h").write_text(source.macros(), encoding="utf-8")
        (folder / "inputs.bin").write_bytes(np.ascontiguousarray(inputs).tobytes())
        program = folder / "program"
        where = f"-I{source.header.parent}"
        command = [cc, *FLAGS, where, "-o", program.name, "driver.c", str(source.source)]
        built = programs.run(command, seconds=COMPILE_S, folder=folder)
        if built.code != 0:
            raise GateError(
                f"the C files could not be compiled: {built.last_words}",
                where=str(source.source),
                fix="use the C files as they were built",
            )
        ended = programs.run([program, "inputs.bin", "outputs.bin"], seconds=RUN_S, folder=folder)
        found = np.frombuffer((folder / "outputs.bin").read_bytes(), np.int8) if ended.code == 0 else None
        if found is None or len(found) % len(inputs):
            raise GateError(
                f"the C program ended with {ended.code} before it had answered {len(inputs)} inputs",
                where=str(source.source),
                fix="use the C files as they were built",
            )
        return found.reshape(len(inputs), -1), _version(cc)


def _version(cc: str) -> str:
    """``gcc 12.2.0``, from the first line of what the compiler says of itself."""
    line = programs.first_line(cc)
    number = re.search(r"\d+\.\d+(\.\d+)?", re.sub(r"\([^)]*\)", "", line))
    return f"{'clang' if 'clang' in line else cc} {number[0] if number else ''}".strip()
