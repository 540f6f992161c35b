"""The command teach: trains a teacher where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedistill.cli import choices
from edgedistill.cli.output import Json, Quiet, console, print_json, reporter
from edgedistill.errors import InputError

if TYPE_CHECKING:
    from edgedistill.teach import TeacherRecord

_USED = ("adversarial", "data", "distill", "teacher", "seed", "trust")
_OF_STUDENTS = (
    "adversarial.autoattack",
    "adversarial.clean_weight",
    "distill.alpha",
    "distill.assistants",
    "distill.cache_features",
    "distill.cache_limit",
    "distill.combine",
    "distill.generations",
    "distill.losses",
    "distill.temperature",
    "distill.views",
    "teacher.spec",
)


def teach(
    data: choices.Examples = None,
    trust: choices.Trust = None,
    family: Annotated[
        str,
        typer.Option(
            "--teacher-family",
            metavar="NAME",
            help="resnet56, resnet20, digits, keyword, timm:NAME, module:callable; auto: by the data.",
            rich_help_panel=choices.TRAINING,
        ),
    ] = "auto",
    pretrained: Annotated[
        bool,
        typer.Option(
            "--pretrained/--scratch",
            help="Of timm: begin with its weights, or without.",
            rich_help_panel=choices.TRAINING,
        ),
    ] = True,
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs", metavar="N", help="What suits the family.", rich_help_panel=choices.TRAINING
        ),
    ] = None,
    seed: choices.Seed = None,
    set_: choices.Set = None,
    out: Annotated[Path, choices.out("Gets teacher.safetensors, card.md, teacher.json.")] = Path("teacher"),
    fresh: choices.Fresh = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Trains a teacher where there is none, or tunes a pretrained network to your data; then checks it."""
    overrides = choices.set_keys(set_ or ())
    for name in overrides:
        if name.partition(".")[0] not in _USED or name in _OF_STUDENTS:
            raise InputError(
                f"teach does not use {name}: a teacher learns from labels alone",
                where="--set",
                fix="keys of data and distill, teacher.normalisation, teacher.resolution, seed and trust",
            )
    given = {"data.source": data, "distill.epochs": epochs, "seed": seed, "trust": trust}
    overrides.update({key: value for key, value in given.items() if value is not None})

    from edgedistill import recipe as recipes

    recipes.resolve(None, overrides)  # a mistake is told before torch is imported, which takes seconds

    from edgedistill.teach import choose
    from edgedistill.teach import teach as run

    family, chosen = choose(family, overrides)
    voice = reporter(quiet=quiet, as_json=json_)
    try:
        record = run(chosen, family, out, pretrained=pretrained, fresh=fresh, reporter=voice)
    finally:
        voice.close()
    if json_:
        print_json(record.model_dump(mode="json"))
    elif not quiet:
        _show(record, chosen.data.source, out)


def _show(record: TeacherRecord, source: str, out: Path) -> None:
    to = console()
    more = "".join(f" --set {name}={value}" for name, value in record.choices.items())
    to.print(
        f"right on {record.accuracy:.1%} of {record.test_examples:,} test examples, "
        f"calibration error {record.ece:.3f}; {out}/card.md says more. Build with:\n"
        f"  edgedistill build --teacher {record.spec} --data {source}{more}",
        markup=False,
        soft_wrap=True,
    )
