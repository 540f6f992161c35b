"""Names and checks the files of a finished build: which there are, and that nobody altered them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pydantic import ValidationError

from edgedistill.errors import GateError, InputError
from edgedistill.record import BuildRecord
from edgedistill.runners import c_source, name_for

INT8 = ("student.tflite", "student.onnx")
FLOAT32 = ("student-float32.tflite", "student-float32.onnx")
COREML = "student.mlpackage"
C = c_source.FOLDER
GOLDEN = "golden.npz"
GRAPH = "graph.npz"
RECORD = "record.json"


def sha256_of(path: Path) -> str:
    """sha256 of a file; of a folder, of its files' relative names and contents in order."""
    digest = hashlib.sha256()
    for file in _members(path):
        if path.is_dir():
            digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        digest.update(file.read_bytes())
    return digest.hexdigest()


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    return sum(file.stat().st_size for file in _members(path))


def split(path: Path) -> tuple[Path, tuple[Path, ...]]:
    """What the user named, a build's folder or one model in it, as (folder, models that exist).

    Raises:
        InputError: there is nothing there, or no model that a runtime takes.
    """
    if not path.exists():
        raise InputError(
            "there is no such file or folder", where=str(path), fix="give a build's folder or a model"
        )
    if path.name == C and c_source.has_c(path):
        return path.parent, (path,)
    if path.is_dir() and name_for(path) is None:
        names = (*INT8, *FLOAT32, COREML, C)
        found = tuple(path / name for name in names if (path / name).exists())
        if not found:
            raise InputError(
                "there is no model in this folder",
                where=str(path),
                fix=f"give a folder with {' or '.join(INT8)}",
            )
        return path, found
    if name_for(path) is None:
        raise InputError(
            f"no runtime takes {path.suffix or 'such'} files",
            where=str(path),
            fix="give a build's folder, a .tflite, an .onnx, an .mlpackage or a folder c/",
        )
    return path.parent, (path,)


def check_digests(folder: Path, only: tuple[Path, ...] | None = None) -> int:
    """Compares files with the digests in record.json, where there is one.

    Args:
        folder: of the build.
        only: check these files alone; None: all that the record names.

    Returns:
        How many files were compared.

    Raises:
        InputError: the record cannot be read, or a file that it names is missing.
        GateError: a file is not the one that was built.
    """
    path = folder / RECORD
    if not path.exists():
        return 0
    try:
        record = BuildRecord.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"the record cannot be read: {reason}", where=str(path), fix="build again"
        ) from error
    wanted = None if only is None else {file.resolve() for file in only}
    compared = 0
    for artifact in record.artifacts:
        file = folder / artifact.path
        if not file.resolve().is_relative_to(folder.resolve()):
            raise InputError(
                f"the record names a file outside its folder: {artifact.path!r}", where=str(path)
            )
        if wanted is not None and file.resolve() not in wanted:
            continue
        if not file.exists():
            raise InputError(
                f"{artifact.path} is missing",
                where=str(folder),
                fix="copy the whole folder again, or build again",
            )
        found = sha256_of(file)
        if found != artifact.sha256:
            raise GateError(
                f"{artifact.path} is not the file that was built: "
                f"sha256 {found[:16]}…, recorded {artifact.sha256[:16]}…",
                where=str(file),
                fix="copy it again, or build again; do not ship it",
            )
        compared += 1
    return compared


def _members(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
