"""Builds for the tests of Android and iOS packages: a kept model, with class names that fight back."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from edgedistill.package import contract
from edgedistill.package.contract import Contract

MODELS = Path(__file__).parent.parent.parent / "models"
PICTURES, SOUNDS = MODELS / "cifar10-resnet8", MODELS / "speech-commands-dscnn"
HOSTILE = (
    'quote" and \\backslash',
    "${System.exit(1)} $name {{ package }} {% raw %}",
    "two\nlines\r\tand a tab",
    "\u202eright to left\u202c עברית",
    "emoji 🦊👩‍👩‍👧",
    '"""; import java.io.File //',
    "\\(fatalError())",
    "</script><b>&amp;",
    "../../../etc/passwd",
    "nul\u0000 and \ufeff",
)


def pictures(name: str = "pictures") -> Contract:
    """Of cifar10-resnet8, its ten classes renamed."""
    return replace(contract.of(PICTURES), name=name, labels=HOSTILE)


def sounds(name: str = "sounds") -> Contract:
    """Of speech-commands-dscnn."""
    return replace(contract.of(SOUNDS), name=name)


def with_coreml(build: Path, out: Path) -> Path:
    """A copy of a build with a fake .mlpackage: the files of one, but no network in them."""
    shutil.copytree(build, out)
    inner = out / "student.mlpackage" / "Data" / "com.apple.CoreML"
    (inner / "weights").mkdir(parents=True)
    (inner / "model.mlmodel").write_bytes(b"fake")
    (inner / "weights" / "weight.bin").write_bytes(b"fake weights")
    (out / "student.mlpackage" / "Manifest.json").write_text("{}")
    return out


def texts(folder: Path) -> dict[str, str]:
    """Every generated text of a package, by path."""
    kinds = (".kt", ".kts", ".swift", ".md", ".pro", ".properties")
    files = (file for file in folder.rglob("*") if file.suffix in kinds)
    return {file.relative_to(folder).as_posix(): file.read_text(encoding="utf-8") for file in sorted(files)}
