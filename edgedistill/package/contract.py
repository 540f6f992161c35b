"""What an app must know of a finished build to call its model: input, output, files, proofs, licences."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from edgedistill import record as records
from edgedistill.bench.files import COREML, GOLDEN, GRAPH, INT8, RECORD, C, sha256_of, size_of
from edgedistill.data import frontend
from edgedistill.errors import InputError
from edgedistill.ir import serial
from edgedistill.ir.graph import Graph
from edgedistill.record import Accuracy, Measurement, Parity
from edgedistill.sections import Recipe
from edgedistill.tables import parse_toml, read_text

EXPECTED = "expected.json"  # what models/* have in the place of record.json
LABELS = "labels.txt"
MODELS: Mapping[str, str] = {INT8[0]: "tflite", INT8[1]: "onnx", COREML: "coreml", C: "c"}
_FEATURES = (1, frontend.FRAMES, frontend.BANDS, 1)


@dataclass(frozen=True)
class ImageInput:
    """An image as the model takes it: int8 [1, height, width, channels], ``q = pixel - 128``.

    ``rule`` names how any picture becomes that one; package/preprocess.py states it.
    """

    height: int
    width: int
    channels: int  # 1: grey, 3: colour
    colour_order: Literal["grey", "RGB"]
    rule: str = "centre-crop, Pillow's bilinear"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return 1, self.height, self.width, self.channels


@dataclass(frozen=True)
class SoundInput:
    """Features of a clip as the model takes them: int8 [1, frames, bands, 1], ``q = feature - 128``.

    The numbers are those of data/frontend.py; ``tables_sha256`` is of all constants, and the generated
    frontend.h states the same.
    """

    rate_hz: int = frontend.RATE_HZ
    samples: int = frontend.SAMPLES  # of a clip
    window: int = frontend.WINDOW  # samples of a frame
    hop: int = frontend.HOP  # samples from one frame to the next
    fft: int = frontend.FFT
    frames: int = frontend.FRAMES
    bands: int = frontend.BANDS
    low_hz: float = frontend.LOW_HZ
    high_hz: float = frontend.HIGH_HZ
    tables_sha256: str = ""
    rule: str = "mono, polyphase resampling, middle second, integer log-mel"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return 1, self.frames, self.bands, 1


@dataclass(frozen=True)
class Quantity:
    """``real = scale * (q - zero_point)`` of an int8 input or output."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class ModelFile:
    """A model in the build's folder: ``format`` is tflite, onnx, coreml (a folder) or c (a folder)."""

    format: str
    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Licences:
    """As the user declared them in data.licence and teacher.licence; None: not declared."""

    data: str | None = None
    teacher: str | None = None


@dataclass(frozen=True, eq=False)
class Contract:
    """A finished build, as a package needs it. Outputs are int8 logits, and of equal ones the first wins."""

    name: str  # the folder's: the target, or the model of models/*
    task: str  # image-classification or keyword-spotting
    labels: tuple[str, ...]  # in the order of the outputs; any text, so they belong into data files
    input: ImageInput | SoundInput
    input_quant: Quantity
    output_quant: Quantity
    models: tuple[ModelFile, ...]
    golden: str  # golden.npz: inputs and outputs int8 [N, ...]
    accuracy: Accuracy
    parity: tuple[Parity, ...]  # which runtimes and versions were proved, and on how many values
    measurements: tuple[Measurement, ...]
    versions: Mapping[str, str]  # of the libraries that built it
    edgedistill_version: str
    recipe_sha256: str  # of recipe.toml's choices; of models/*: of the file
    licences: Licences
    data: str  # data.source of the recipe, without folders
    teacher: str
    student: str
    warnings: tuple[str, ...] = ()
    exact: bool = True  # whether every operator is exact by construction
    target: str | None = None  # None: models/*

    @property
    def is_sound(self) -> bool:
        return isinstance(self.input, SoundInput)

    def model(self, *formats: str) -> ModelFile | None:
        """The first of the formats that the build has, or None."""
        have = {model.format: model for model in self.models}
        return next((have[name] for name in formats if name in have), None)

    def need(self, *formats: str, package: str) -> ModelFile:
        """As ``model``, but an absent one is the user's error.

        Raises:
            InputError: the build has none of the formats.
        """
        found = self.model(*formats)
        if found is None:
            have = ",".join(model.format for model in self.models)
            raise InputError(
                f"a package for {package} needs {' or '.join(formats)}, and this build has {have}",
                where=self.name,
                fix=f"build again with --set export.formats={have},{formats[0]}",
            )
        return found

    def runtimes(self, format_: str) -> tuple[Parity, ...]:
        """The rows that prove a format's file, those that were not run left out."""
        paths = {model.path for model in self.models if model.format == format_}
        return tuple(row for row in self.parity if row.artifact in paths and row.how != "not run")


class _Summary(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    exact_by_construction: bool = True


class _Expected(BaseModel):
    """What of expected.json is of use here."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    accuracy: Accuracy
    parity: tuple[Parity, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    versions: dict[str, str] = {}
    graph: _Summary = _Summary()


def of(folder: Path) -> Contract:
    """Reads a build's folder, or a model of models/*.

    Raises:
        InputError: a file is missing or is not what it should be, or there is no int8 model.
    """
    if not folder.is_dir():
        raise InputError(
            "there is no such folder",
            where=str(folder),
            fix="give the folder of a finished build, such as out/android-arm64",
        )
    _need(folder, GRAPH, GOLDEN, "recipe.toml", LABELS)
    graph = serial.load(folder / GRAPH)
    recipe = parse_toml(read_text(folder / "recipe.toml", "recipe"), Recipe, str(folder / "recipe.toml"))
    labels = tuple((folder / LABELS).read_text(encoding="utf-8").split("\n")[:-1])
    input_, output = _quant(graph, graph.inputs[0], folder), _quant(graph, graph.outputs[0], folder)
    outputs = graph.tensors[graph.outputs[0]].shape[-1]
    if len(labels) != outputs:
        raise InputError(
            f"{len(labels)} labels for {outputs} outputs", where=str(folder / LABELS), fix="build again"
        )
    models = _models(folder)
    if (folder / RECORD).exists():
        record = records.load(folder / RECORD)
        return Contract(
            name=folder.resolve().name, task=_task(graph, folder), labels=record.labels,
            input=_input(graph, folder), input_quant=input_, output_quant=output, models=models,
            golden=GOLDEN, accuracy=record.accuracy, parity=record.parity,
            measurements=record.measurements, versions=record.versions,
            edgedistill_version=record.edgedistill_version, recipe_sha256=record.recipe_sha256,
            licences=_licences(recipe), data=_short(recipe.data.source), teacher=_teacher(recipe),
            student=recipe.student.spec, warnings=record.warnings,
            exact=record.graph.exact_by_construction, target=record.target,
        )  # fmt: skip
    _need(folder, EXPECTED)
    expected = _expected(folder / EXPECTED)
    return Contract(
        name=folder.resolve().name, task=_task(graph, folder), labels=labels,
        input=_input(graph, folder), input_quant=input_, output_quant=output, models=models,
        golden=GOLDEN, accuracy=expected.accuracy, parity=expected.parity,
        measurements=expected.measurements, versions=expected.versions,
        edgedistill_version="", recipe_sha256=sha256_of(folder / "recipe.toml"),
        licences=_licences(recipe), data=_of_card(folder, "data"), teacher=_of_card(folder, "teacher"),
        student=recipe.student.spec, exact=expected.graph.exact_by_construction,
    )  # fmt: skip


def _need(folder: Path, *names: str) -> None:
    for name in names:
        if not (folder / name).is_file():
            raise InputError(
                f"there is no {name}",
                where=str(folder),
                fix="give the whole folder of a finished build, such as out/android-arm64",
            )


def _models(folder: Path) -> tuple[ModelFile, ...]:
    found = tuple(
        ModelFile(format_, name, sha256_of(folder / name), size_of(folder / name))
        for name, format_ in MODELS.items()
        if (folder / name).exists()
    )
    if not found:
        raise InputError("there is no int8 model", where=str(folder), fix=f"it needs {' or '.join(MODELS)}")
    return found


def _quant(graph: Graph, name: str, folder: Path) -> Quantity:
    tensor = graph.tensors[name]
    if tensor.quant is None or tensor.dtype != "int8":
        raise InputError(f"{name} is {tensor.dtype}, not int8", where=str(folder / GRAPH), fix="build again")
    return Quantity(float(tensor.quant.scale[0]), tensor.quant.zero_point)


def _task(graph: Graph, folder: Path) -> str:
    return "keyword-spotting" if isinstance(_input(graph, folder), SoundInput) else "image-classification"


def _input(graph: Graph, folder: Path) -> ImageInput | SoundInput:
    shape = graph.tensors[graph.inputs[0]].shape
    if shape == _FEATURES and _hears(folder):
        return SoundInput(tables_sha256=frontend.tables().sha256)
    if len(shape) != 4 or shape[0] != 1 or shape[3] not in (1, 3):
        raise InputError(
            f"an input of shape {list(shape)} is no image [1, height, width, 1 or 3]",
            where=str(folder / GRAPH),
            fix="packages are for image and keyword models",
        )
    channels = int(shape[3])
    return ImageInput(int(shape[1]), int(shape[2]), channels, "grey" if channels == 1 else "RGB")


def _hears(folder: Path) -> bool:
    """Whether the build's front end lies beside it; models/* say in the card what they hear."""
    if (folder / "frontend.h").exists():
        return True
    card = folder / "card.md"
    return card.is_file() and "log-mel" in card.read_text(encoding="utf-8")


def _of_card(folder: Path, row: str) -> str:
    """What a model's card.md says of its data or teacher; the recipes of models/* name neither."""
    card = folder / "card.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    found = re.search(rf"^\| {row} \| (.+) \|$", text, re.MULTILINE)
    return found[1] if found else "not stated"


def _expected(path: Path) -> _Expected:
    try:
        return _Expected.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as error:
        raise InputError(
            f"this does not say what is expected: {str(error).splitlines()[0]}", where=str(path)
        ) from error


def _licences(recipe: Recipe) -> Licences:
    teachers = recipe.teachers or (recipe.teacher,)
    declared = dict.fromkeys(teacher.licence for teacher in teachers if teacher.licence)
    return Licences(recipe.data.licence, "; ".join(declared) or None)


def _teacher(recipe: Recipe) -> str:
    return ", ".join(_short(teacher.spec) for teacher in recipe.teachers or (recipe.teacher,))


def _short(spec: str) -> str:
    """A path without its folders, so that a package does not tell where things lay."""
    return spec.rstrip("/").rpartition("/")[2] or spec


def described(contract: Contract) -> dict[str, object]:
    """What a program needs to call the model, for a JSON file beside it; labels are a file of their own."""
    return {
        "schema_version": 1,
        "task": contract.task,
        "kind": "sound" if contract.is_sound else "image",
        "input": {**asdict(contract.input), "shape": list(contract.input.shape)},
        "input_quant": asdict(contract.input_quant),
        "output_quant": asdict(contract.output_quant),
        "classes": len(contract.labels),
        "output": "int8 logits; of equal ones the first wins",
        "recipe_sha256": contract.recipe_sha256,
    }
