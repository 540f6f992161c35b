"""The command ``build``: from a teacher, data and a target to verified files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedistill.cli.output import Json, Quiet, console, print_json, reporter
from edgedistill.errors import InputError

if TYPE_CHECKING:
    from edgedistill.record import BuildRecord

_DATA = "What it learns from"
_TRAINING = "Training"
_RESULT = "Result"


def build(
    target: Annotated[
        list[str] | None,
        typer.Option("--target", "-t", metavar="NAME[,NAME]", help="Device (see `targets list`)."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", "-r", metavar="FILE", help="Choices as TOML; flags override it."),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option("--teacher", metavar="SPEC", help="See `list teachers`.", rich_help_panel=_DATA),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="PATH",
            help="Folder of class folders, parquet, .npz, module:callable, or synthetic[:KEY=VALUE,...].",
            rich_help_panel=_DATA,
        ),
    ] = None,
    test_data: Annotated[
        str | None,
        typer.Option(
            "--test-data",
            metavar="PATH",
            help="What the finished student is tested on, if not a part of --data.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    trust: Annotated[
        bool | None,
        typer.Option("--trust", help="Allow pickled code in teacher and data.", rich_help_panel=_DATA),
    ] = None,
    student: Annotated[
        str | None,
        typer.Option("--student", metavar="SPEC", help="See `list students`.", rich_help_panel=_TRAINING),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", metavar="N", help="Of float training.", rich_help_panel=_TRAINING),
    ] = None,
    quantise_epochs: Annotated[
        int | None,
        typer.Option(
            "--quantise-epochs",
            metavar="N",
            help="Of int8 training; 0: only calibrate.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", metavar="T", help="Softens the teacher.", rich_help_panel=_TRAINING),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(
            "--alpha",
            metavar="A",
            help="Share of the teacher in the loss, 0 to 1.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="Of all randomness.", rich_help_panel=_TRAINING)
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any key of a recipe, as distill.lr=0.1.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Gets a folder per target.", rich_help_panel=_RESULT),
    ] = Path("out"),
    formats: Annotated[
        str | None,
        typer.Option(
            "--formats",
            metavar="NAME[,NAME]",
            help="onnx, tflite, coreml, c; what the target wants if not given.",
            rich_help_panel=_RESULT,
        ),
    ] = None,
    onnx_form: Annotated[
        str | None,
        typer.Option(
            "--onnx-form", metavar="FORM", help="qlinear (exact) or qdq (NPUs).", rich_help_panel=_RESULT
        ),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            "--budget",
            metavar="K=V[,K=V]",
            help="Limits, as flash=96KiB,latency=2ms,accuracy=90%; exit code 1 if missed.",
            rich_help_panel=_RESULT,
        ),
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh/--resume", help="Repeat finished stages, or go on from them.", rich_help_panel=_RESULT
        ),
    ] = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Builds a student: trains, quantises, exports, verifies in every runtime, and measures."""
    overrides = _assignments(set_ or ())
    given: Mapping[str, object | None] = {
        "targets": [name for text in target for name in _names(text)] if target else None,
        "teacher.spec": teacher,
        "data.source": data,
        "data.test": test_data,
        "student.spec": student,
        "distill.epochs": epochs,
        "quantise.epochs": quantise_epochs,
        "distill.temperature": temperature,
        "distill.alpha": alpha,
        "seed": seed,
        "trust": trust,
        "export.onnx_form": onnx_form,
        "export.formats": _names(formats) if formats is not None else None,
    }
    overrides.update({key: value for key, value in given.items() if value is not None})
    if data is not None and data.startswith("synthetic:"):
        overrides.update(_synthesis(data))
    for text in budget or ():
        pairs = _pairs(text, "--budget", "latency=2ms")
        overrides.update({f"budget.{key}": value for key, value in pairs.items()})

    from edgedistill import recipe as recipes
    from edgedistill import target as devices

    if recipe is None and not {"teacher.spec", "data.source"} & overrides.keys():
        recipe = recipes.example()
    chosen = recipes.resolve(recipe, overrides)
    for name in chosen.targets:
        devices.load(name)  # a wrong name is told before torch is imported, which takes seconds

    from edgedistill.build import build as run
    from edgedistill.cli import limits

    voice = reporter(quiet=quiet, as_json=json_)
    try:
        records = run(chosen, out, fresh=fresh, reporter=voice)
        findings = limits.check(recipes.budget(chosen), tuple(records.values()))
        for text in findings.unknown:
            voice.warn(text)
    finally:
        voice.close()
    if json_:
        print_json({name: record.model_dump(mode="json") for name, record in records.items()})
    elif not quiet:
        _show(records, out)
        if chosen.teacher.spec == "digits" and chosen.data.source == "digits":
            _next_steps(chosen.targets[0])
    findings.raise_if_missed()


def _show(records: Mapping[str, BuildRecord], out: Path) -> None:
    from edgedistill.report.terminal import table

    to = console()
    to.print(table(tuple(records.values())))
    to.print("latency: int8 on this machine; in brackets, float32's divided by it", style="dim")
    for name in records:
        to.print(
            f"{out / name}/report.html has every figure and where it came from", markup=False, soft_wrap=True
        )


def _next_steps(target: str) -> None:
    to = console()
    to.print(
        "\nThis was the built-in demonstration: digits of 8 x 8 pixels. With your own teacher and images:\n"
        f"  edgedistill build --target {target} --teacher timm:resnet18 --data photos/ --out out\n"
        "photos/ holds one folder per class. `edgedistill list teachers` shows the other kinds of teacher.",
        markup=False,
        soft_wrap=True,
    )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _pairs(text: str, flag: str, example: str) -> dict[str, str]:
    pairs = {}
    for part in _names(text):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not (key and equals and value):
            raise InputError(f"{part!r} is not KEY=VALUE", where=flag, fix=f"for example {flag} {example}")
        pairs[key] = value
    return pairs


def _synthesis(data: str) -> dict[str, object]:
    """``synthetic:images=20000,resolution=32`` as keys of the recipe."""
    source, _, options = data.partition(":")
    pairs = _pairs(options, "--data", "synthetic:images=20000")
    texts = [
        f"{'data' if key == 'resolution' else 'synthesis'}.{key}={value}" for key, value in pairs.items()
    ]
    return {"data.source": source, **_assignments(texts)}


def _assignments(texts: Sequence[str]) -> dict[str, object]:
    """``distill.lr=0.1`` with the value as TOML, or as a text where it is no TOML."""
    from edgedistill.tables import toml_value

    found: dict[str, object] = {}
    for text in texts:
        key, equals, value = (piece.strip() for piece in text.partition("="))
        if not (key and equals and value):
            raise InputError(
                f"{text!r} is not KEY=VALUE", where="--set", fix="for example --set distill.lr=0.1"
            )
        found[key] = toml_value(value)
    return found
