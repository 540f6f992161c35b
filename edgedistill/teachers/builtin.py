"""The teacher that comes with the package: digits, a residual net on 8x8 grey pixels."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.errors import TeacherError
from edgedistill.teachers.checkpoint import into, read_safetensors
from edgedistill.teachers.loaded import Loaded, Request

if TYPE_CHECKING:
    from importlib.abc import Traversable

PACKAGE = "edgedistill.builtin"  # models/ is installed under this name
ARCHITECTURE = "edgedistill.teachers.architectures:digits_teacher"


def load(request: Request) -> Loaded:
    """The built-in digits teacher; ``request.body`` is not looked at."""
    from edgedistill.teachers.architectures import digits_teacher

    with as_file(models() / "digits" / "teacher.safetensors") as path:
        if not path.is_file():
            raise TeacherError(
                "the built-in teacher is missing", where=str(path), fix="install edgedistill again"
            )
        loaded = into(digits_teacher(), read_safetensors(path), path, ARCHITECTURE, ())
        return replace(loaded, name="digits")


def models() -> Traversable:
    """The folder of built-in models, in an installed package or a source checkout."""
    if importlib.util.find_spec(PACKAGE) is not None:
        return files(PACKAGE)
    return Path(__file__).resolve().parents[2] / "models"
