"""Compiles a model in C with this machine's compiler and runs it, as if it were the network."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.runners import c_program

COMPILERS = ("cc", "gcc", "clang")


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
    return c_program.answers(c_folder, inputs, (cc, *c_program.FLAGS)), c_program.version(cc)
