"""Writes the package for Linux boards: Python with a command ``predict``, and an example in C++."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import edgedistill
from edgedistill import package
from edgedistill.data import frontend
from edgedistill.package import c_student, escape, golden_raw, preprocess, templates
from edgedistill.package import contract as contracts
from edgedistill.package.contract import Contract

_RUNTIMES = {"tflite": "ai-edge-litert", "onnx": "onnxruntime"}


def write(contract: Contract, folder: Path, out: Path) -> tuple[str, ...]:
    """Fills ``out``: pyproject.toml, src/MODULE with the model and its data, cpp/, README.md."""
    module = f"{escape.identifier(contract.name)}_model"
    place = f"src/{module}"
    models = [model for model in contract.models if model.format in _RUNTIMES]
    for model in models:
        package.copy(folder / model.path, out, f"{place}/data/{model.path}")
    package.copy(folder / contract.golden, out, f"{place}/data/golden.npz")
    case = golden_raw.write(contract, folder, out / place / "data")[0]
    data = {"model.json": contracts.described(contract), "labels.json": list(contract.labels)}
    for name, value in data.items():
        templates.write(out, f"{place}/data/{name}", escape.json_text(value) + "\n")
    sources = [preprocess, frontend] if contract.is_sound else [preprocess]
    for source in sources:
        name = source.__name__.rpartition(".")[2]
        text = resources.files(source.__package__ or "").joinpath(f"{name}.py").read_text(encoding="utf-8")
        templates.write(out, f"{place}/{name}.py", text)
    source_c = c_student.put(contract, folder, out / "cpp" / "student", "F")
    for name in ("preprocess.h", "preprocess.c", *(("sound.h", "sound.c") if contract.is_sound else ())):
        templates.write(out, f"cpp/{name}", templates.plain(f"c/{name}"))
    values: dict[str, object] = {
        "contract": contract,
        "module": module,
        "project": f"edgedistill-{escape.identifier(contract.name).replace('_', '-')}",
        "command": f"{escape.identifier(contract.name).replace('_', '-')}-predict",
        "version": contract.edgedistill_version or edgedistill.__version__,
        "runtimes": [(_RUNTIMES[model.format], model.path) for model in models],
        "student": source_c.name,
        "upper": source_c.name.upper(),
        "case": case,
        "proved": [row for model in models for row in contract.runtimes(model.format)],
    }
    for template, path in (
        ("pyproject.toml.j2", "pyproject.toml"),
        ("README.md.j2", "README.md"),
        ("init.py.j2", f"{place}/__init__.py"),
        ("main.py.j2", f"{place}/__main__.py"),
        ("predict.py.j2", f"{place}/predict.py"),
        ("CMakeLists.txt.j2", "cpp/CMakeLists.txt"),
        ("predict.cpp.j2", "cpp/predict.cpp"),
    ):
        templates.write(out, path, templates.render(f"raspberry-pi/{template}", values))
    return (
        f"pip install {out.name}/ and {' or '.join(_RUNTIMES[model.format] for model in models)}",
        f"{values['command']} --self-test proves the model and its pre-processing on the board",
    )
