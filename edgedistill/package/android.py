"""Writes a Gradle module for Android: the student, its runtimes, pre-processing in Kotlin, a self-test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgedistill.package import app_assets, copy, templates
from edgedistill.package.contract import Contract, ModelFile, SoundInput
from edgedistill.package.front_end import constants
from edgedistill.package.names import Names, names

FOLDER = "android-gradle"  # of the templates
CLASS = "Student"
VERSIONS: Mapping[str, str | int] = {
    "agp": "8.13.2",  # works with Kotlin 2.4, https://developer.android.com/build/kotlin-support
    "kotlin": "2.4.20",  # the compiler that the tests use
    "min_sdk": 24,  # LiteRT 2.1 asks for 23, its successors for 24
}
SOURCES = ("Backend", "Postprocess", "SelfTest", "Student", "StudentContract")


@dataclass(frozen=True)
class Runtime:
    """A product flavour: a runtime's Maven artifact and the class that speaks to it."""

    flavour: str
    backend: str
    artifact: str
    java_package: str
    format: str


RUNTIMES = (
    # The Interpreter API, on the CPU: https://ai.google.dev/edge/litert/android, table of versions
    Runtime("litert", "LiteRt", "com.google.ai.edge.litert:litert:2.1.5", "org.tensorflow.lite", "tflite"),
    Runtime(
        "onnxruntime",
        "OnnxRuntime",
        "com.microsoft.onnxruntime:onnxruntime-android:1.24.2",
        "ai.onnxruntime",
        "onnx",
    ),
)


def write(contract: Contract, folder: Path, out: Path) -> tuple[str, ...]:
    """Writes the module and a folder around it that builds on its own.

    Args:
        contract: of the build.
        folder: of the build.
        out: the package's folder, which exists.

    Returns:
        Notes for people.

    Raises:
        InputError: the build has neither student.tflite nor student.onnx.
    """
    contract.need("tflite", "onnx", package="Android")
    name = names(contract.name)
    found = [(r, m) for r in RUNTIMES if (m := contract.model(r.format)) is not None]
    module = out / name.module
    assets = module / "src" / "main" / "assets" / name.module
    assets.mkdir(parents=True)
    written = app_assets.write(contract, folder, assets, [model for _, model in found])
    values = _values(contract, name, found, written)
    for file in ("settings.gradle.kts", "gradle.properties", "README.md"):
        templates.write(out, file, templates.render(f"{FOLDER}/{file}.j2", values))
    for file in ("build.gradle.kts", "consumer-rules.pro"):
        templates.write(module, file, templates.render(f"{FOLDER}/{file}.j2", values))
    front_end = ("LogMel", "Recording", "SoundTables") if contract.is_sound else ("Preprocess",)
    for source in (*SOURCES, *front_end):
        _source(module, name, "main", source, values)
    for runtime, model in found:
        _source(module, name, runtime.flavour, runtime.backend, values)
        tests = f"androidTest{runtime.flavour.capitalize()}"
        _source(
            module,
            name,
            tests,
            f"{runtime.backend}SelfTest",
            values | {"backend": runtime.backend},
            "DeviceTest",
        )
        copy(folder / model.path, module, f"src/{runtime.flavour}/assets/{name.module}/{model.path}")
    return (
        f"Kotlin package {name.package}, Gradle module :{name.module}; README.md says how an app takes it in",
        "not run here: Gradle, and a phone or its emulator; the module's self-test is for them",
    )


def _source(
    module: Path,
    name: Names,
    source_set: str,
    file: str,
    values: Mapping[str, object],
    template: str | None = None,
) -> None:
    path = f"src/{source_set}/kotlin/{name.package.replace('.', '/')}/{file}.kt"
    templates.write(module, path, templates.render(f"{FOLDER}/{template or file}.kt.j2", values))


def _values(
    contract: Contract, name: Names, found: list[tuple[Runtime, ModelFile]], written: app_assets.Written
) -> dict[str, object]:
    return {
        "title": contract.name,
        "package": name.package,
        "module": name.module,
        "asset_folder": name.module,
        "class_name": CLASS,
        "versions": VERSIONS,
        "input": contract.input,
        "sound": constants() if isinstance(contract.input, SoundInput) else None,
        "backends": [runtime.backend for runtime, _ in found],
        "runtimes": [vars(runtime) | {"file": m.path, "size_bytes": m.size_bytes} for runtime, m in found],
        "vectors": written.vectors,
        "raw": written.raw,
        "proofs": app_assets.proofs(contract, [runtime.format for runtime, _ in found]),
    }
