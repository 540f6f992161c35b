"""The command ``build``: from a teacher, data and a target to verified files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedistill.cli import choices
from edgedistill.cli.output import Json, Quiet, console, print_json, reporter

if TYPE_CHECKING:
    from edgedistill.record import BuildRecord

_TRAINING = choices.TRAINING
_RESULT = choices.RESULT
_SENTENCES = 3  # of what to try next; the report has all


def build(
    target: choices.Target = None,
    recipe: choices.RecipeFile = None,
    teacher: choices.Teacher = None,
    data: choices.Data = None,
    test_data: choices.TestData = None,
    trust: choices.Trust = None,
    student: choices.Student = None,
    search: Annotated[
        str | None,
        typer.Option(
            "--search",
            metavar="HOW",
            help="For a student inside the budget: none, quick or thorough; quick if no student is named.",
            rich_help_panel=_TRAINING,
        ),
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
    seed: choices.Seed = None,
    set_: choices.Set = None,
    out: Annotated[Path, choices.out("Gets a folder per target.")] = Path("out"),
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
    budget: choices.Budget = None,
    fresh: choices.Fresh = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Builds a student: trains, quantises, exports, verifies in every runtime, and measures."""
    given: Mapping[str, object | None] = {
        "targets": choices.targets(target),
        "teacher.spec": teacher,
        "data.source": data,
        "data.test": test_data,
        "student.spec": student,
        "sizing.search": search,
        "distill.epochs": epochs,
        "quantise.epochs": quantise_epochs,
        "distill.temperature": temperature,
        "distill.alpha": alpha,
        "seed": seed,
        "trust": trust,
        "export.onnx_form": onnx_form,
        "export.formats": choices.names(formats) if formats is not None else None,
    }
    from edgedistill.sizing.budget import parse_flags

    limited = {f"budget.{name}": text for name, text in parse_flags(budget or ()).items()}
    chosen = choices.chosen(recipe, set_, {**given, **limited})

    from edgedistill import recipe as recipes
    from edgedistill.build import build as run
    from edgedistill.cli import limits

    voice = reporter(quiet=quiet, as_json=json_)
    try:
        records = run(chosen, out, fresh=fresh, reporter=voice)
        limited_by = recipes.budget(chosen)
        foretold = limits.predictions(out, chosen.targets) if limited_by else {}
        findings = limits.check(limited_by, tuple(records.values()), foretold)
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
    from edgedistill.report.guidance import guidance
    from edgedistill.report.terminal import table

    to = console()
    to.print(table(tuple(records.values())))
    to.print("latency: int8 on this machine; in brackets, float32's divided by it", style="dim")
    said = dict.fromkeys(text for record in records.values() for text in guidance(record))
    for text in list(said)[:_SENTENCES]:
        to.print(f"next: {text}", markup=False, soft_wrap=True)
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
