"""The teacher that comes with the package: digits, a residual net on 8x8 grey pixels."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import as_file

from edgedistill.errors import TeacherError
from edgedistill.recipe import builtin_models
from edgedistill.teachers.checkpoint import into, read_safetensors
from edgedistill.teachers.loaded import Loaded, Request

ARCHITECTURE = "edgedistill.teachers.architectures:digits_teacher"


def load(request: Request) -> Loaded:
    """The built-in digits teacher; ``request.body`` is not looked at."""
    from edgedistill.teachers.architectures import digits_teacher

    with as_file(builtin_models() / "digits" / "teacher.safetensors") as path:
        if not path.is_file():
            raise TeacherError(
                "the built-in teacher is missing", where=str(path), fix="install edgedistill again"
            )
        loaded = into(digits_teacher(), read_safetensors(path), path, ARCHITECTURE, ())
        return replace(loaded, name="digits")
