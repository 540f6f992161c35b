"""The teacher that comes with the package: digits, a residual net on 8x8 grey pixels."""

from __future__ import annotations

from importlib.resources import as_file

from edgedistill.errors import TeacherError
from edgedistill.recipe import builtin_models
from edgedistill.teachers.checkpoint import fill, read_safetensors
from edgedistill.teachers.loaded import Loaded, Request
from edgedistill.teachers.module import from_module

ARCHITECTURE = "edgedistill.teachers.architectures:digits_teacher"


def load(request: Request) -> Loaded:
    """The built-in digits teacher; ``request.body`` is not looked at."""
    from edgedistill.teachers.architectures import digits_teacher

    with as_file(builtin_models() / "digits" / "teacher.safetensors") as path:
        if not path.is_file():
            raise TeacherError(
                "the built-in teacher is missing", where=str(path), fix="install edgedistill again"
            )
        module = digits_teacher()
        fill(module, read_safetensors(path), path, ARCHITECTURE)
        return from_module(module, "digits", ARCHITECTURE)
