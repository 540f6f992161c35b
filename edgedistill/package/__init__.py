"""The table of packages: what drops into an app or firmware project, one row per kind of project.

A row names the module instead of importing it, so that reading the table loads no library.
"""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, cast

import edgedistill
from edgedistill.errors import OutputError, UnknownNameError

if TYPE_CHECKING:
    from edgedistill.package.contract import Contract
    from edgedistill.target import Target


class Write(Protocol):
    """What fills a package's folder ``out`` from a build's ``folder``; it gives notes for the user."""

    def __call__(self, contract: Contract, folder: Path, out: Path, /) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class PackageRow:
    """One kind of project: what it is, ``module:function`` that writes it, formats of which it needs one."""

    text: str
    writer: str
    formats: tuple[str, ...]

    def load(self) -> Write:
        """Imports the module and gives its function."""
        module, _, function = self.writer.partition(":")
        return cast(Write, getattr(importlib.import_module(module), function))


PACKAGES: Mapping[str, PackageRow] = MappingProxyType(
    {
        "android": PackageRow(
            text="a Gradle library module in Kotlin with the model, its labels and its pre-processing",
            writer="edgedistill.package.android:write",
            formats=("tflite", "onnx"),
        ),
        "ios": PackageRow(
            text="a Swift package with the model, its labels and its pre-processing",
            writer="edgedistill.package.ios:write",
            formats=("coreml",),
        ),
        "raspberry-pi": PackageRow(
            text="a pip-installable Python package with a command, and a C++ example, for Linux boards",
            writer="edgedistill.package.raspberry_pi:write",
            formats=("tflite", "onnx"),
        ),
        "mcu": PackageRow(
            text="a firmware library in C99 for CMake, ESP-IDF, Zephyr and Arduino, with a self-test",
            writer="edgedistill.package.mcu:write",
            formats=(),  # C is made of the graph where the build has none
        ),
    }
)


@dataclass(frozen=True)
class Packaged:
    """A package that was written."""

    name: str
    path: Path
    files: int
    size_bytes: int
    signed: bool
    notes: tuple[str, ...]


def package_for(name: str) -> PackageRow:
    """The row named ``name``.

    Raises:
        UnknownNameError: no such row; the nearest names are offered.
    """
    if name not in PACKAGES:
        raise UnknownNameError("package", name, PACKAGES, where="--for")
    return PACKAGES[name]


def suited(device: Target) -> str | None:
    """The package of a target: its file's own choice, or by what it runs; None: none."""
    if device.package is not None:
        return device.package
    if "coreml" in device.runtimes.value:
        return "ios"
    if device.default_runner == "cortex-m" or device.formats.value[:1] == ("c",):
        return "mcu"
    if device.name.startswith("android"):
        return "android"
    return "raspberry-pi" if "AArch64" in device.isa.value and device.default_runner == "local" else None


def package(
    folder: Path, names: Sequence[str], out: Path, *, sign: Path | None = None, known_as: str | None = None
) -> tuple[Packaged, ...]:
    """Writes ``out``/NAME for each name, each whole or not at all; the same build gives the same bytes.

    Args:
        folder: of a finished build, or of a model of models/*.
        names: rows of PACKAGES.
        out: is made if need be; a package that is there already is replaced.
        sign: a private Ed25519 key in PEM; None: the manifest says that it is unsigned.
        known_as: the model's name; None: the folder's.

    Raises:
        InputError: the build lacks something, or the key cannot be used.
        OutputError: the folder cannot be written, or holds something that is not such a package.
    """
    from edgedistill.package import contract

    rows = {name: package_for(name) for name in names}
    read = contract.of(folder)
    if known_as is not None:
        read = replace(read, name=known_as)
    return tuple(_one(name, row, read, folder, out, sign) for name, row in rows.items())


def _one(name: str, row: PackageRow, read: Contract, folder: Path, out: Path, sign: Path | None) -> Packaged:
    from edgedistill.package import card, manifest, templates

    final = out / name
    if final.exists() and not (manifest.is_package(final) or (final.is_dir() and not any(final.iterdir()))):
        raise OutputError(
            "this is not a package of edgedistill, so it is not replaced",
            where=str(final),
            fix="move it away, or give another --out",
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=f".{name}-") as temporary:
            made = Path(temporary) / name
            made.mkdir()
            if row.formats:
                read.need(*row.formats, package=name)
            notes = row.load()(read, folder, made)
            templates.write(made, "MODEL_CARD.md", card.text(read, folder))
            written = manifest.write(read, name, edgedistill.__version__, made, sign)
            old = Path(temporary) / "old"
            if final.exists():
                final.replace(old)
            try:
                made.replace(final)
            except OSError:
                if old.exists():
                    old.replace(final)
                raise
    except OSError as error:
        raise OutputError(
            f"the package cannot be written: {error.strerror or error}",
            where=str(final),
            fix="choose a folder that exists, is writable and has room",
        ) from error
    size_bytes = sum(file.size_bytes for file in written.files)
    return Packaged(name, final, len(written.files), size_bytes, written.signed_by is not None, notes)


def copy(source: Path, out: Path, path: str) -> None:
    """Copies a file or folder of a build to ``out / path``, folders above it included; times are not kept."""
    to = out / path
    to.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, to, copy_function=shutil.copyfile, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, to)
