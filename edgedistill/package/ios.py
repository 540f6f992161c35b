"""Writes a Swift package for iOS and macOS: the student for Core ML, pre-processing in Swift, a self-test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgedistill.package import app_assets, copy, templates
from edgedistill.package.contract import Contract, SoundInput
from edgedistill.package.front_end import constants
from edgedistill.package.names import Names, names

FOLDER = "swift-package"  # of the templates
SOURCES = ("Postprocess", "SelfTest", "Student", "StudentContract")


def write(contract: Contract, folder: Path, out: Path) -> tuple[str, ...]:
    """Writes Package.swift, Sources, Tests and a README.

    Args:
        contract: of the build.
        folder: of the build.
        out: the package's folder, which exists.

    Returns:
        Notes for people.

    Raises:
        InputError: the build has no student.mlpackage.
    """
    model = contract.need("coreml", package="iOS")
    name = names(contract.name)
    sources = f"Sources/{name.type}"
    resources = out / sources / "Resources"
    resources.mkdir(parents=True)
    written = app_assets.write(contract, folder, resources, [model])
    copy(folder / model.path, resources, model.path)
    values = _values(contract, name, written)
    front_end = ("LogMel", "Recording", "SoundTables") if contract.is_sound else ("Preprocess", "Pictures")
    files = {f"{sources}/{source}.swift": source for source in (*SOURCES, *front_end)}
    files[f"Tests/{name.type}Tests/StudentTests.swift"] = "StudentTests"
    for path, template in files.items():
        templates.write(out, path, templates.render(f"{FOLDER}/{template}.swift.j2", values))
    for file in ("Package.swift", "README.md"):
        templates.write(out, file, templates.render(f"{FOLDER}/{file}.j2", values))
    return (
        f"Swift package {name.type}; README.md says how an app takes it in",
        "not run here: Xcode, the Swift compiler and Core ML; the package's self-test is for them",
    )


def _values(contract: Contract, name: Names, written: app_assets.Written) -> Mapping[str, object]:
    return {
        "title": contract.name,
        "type": name.type,
        "input": contract.input,
        "sound": constants() if isinstance(contract.input, SoundInput) else None,
        "scale": f"{contract.output_quant.scale:.4g}",
        "vectors": written.vectors,
        "raw": written.raw,
        "proofs": app_assets.proofs(contract, ("coreml",)),
    }
