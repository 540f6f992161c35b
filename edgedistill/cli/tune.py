"""The command tune: tries recipes on the validation split, and writes the best with the evidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedistill.cli import choices
from edgedistill.cli.output import Json, Quiet, console, print_json, print_table, reporter

if TYPE_CHECKING:
    from edgedistill.evidence import Evidence


def tune(
    target: choices.Target = None,
    recipe: choices.RecipeFile = None,
    teacher: choices.Teacher = None,
    data: choices.Examples = None,
    trust: choices.Trust = None,
    student: choices.Student = None,
    seed: choices.Seed = None,
    set_: choices.Set = None,
    trials: Annotated[
        int,
        typer.Option(
            "--trials", "-n", metavar="N", help="In all, the default first.", rich_help_panel=choices.SEARCH
        ),
    ] = 20,
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout",
            metavar="TIME",
            help="As 45min or 2h: no trial begins after it.",
            rich_help_panel=choices.SEARCH,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs",
            metavar="N",
            help="Of a trial; a third of the recipe's.",
            rich_help_panel=choices.SEARCH,
        ),
    ] = None,
    share: Annotated[
        str,
        typer.Option(
            "--share", metavar="S", help="Of the training examples, as 25%.", rich_help_panel=choices.SEARCH
        ),
    ] = "100%",
    search: Annotated[
        str | None,
        typer.Option(
            "--search",
            metavar="NAME[,NAME]",
            help="What varies: temperature, alpha, lr, weight-decay, augment; also batch, ema, views.",
            rich_help_panel=choices.SEARCH,
        ),
    ] = None,
    out: Annotated[Path, choices.out("Gets recipe.toml, tuning.json, tuning.html.")] = Path("tuned"),
    fresh: choices.Fresh = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Searches temperature, loss, learning rate and variations on the validation split."""
    from edgedistill import units

    timeout_s = None if timeout is None else units.parse_s(timeout, where="--timeout")
    part = units.parse_share(share, where="--share")
    given = {
        "targets": choices.targets(target),
        "teacher.spec": teacher,
        "data.source": data,
        "student.spec": student,
        "seed": seed,
        "trust": trust,
    }
    chosen = choices.chosen(recipe, set_, given)

    from edgedistill.tune import tune as run
    from edgedistill.tuning.space import USUAL

    voice = reporter(quiet=quiet, as_json=json_)
    try:
        found = run(
            chosen,
            out,
            trials=trials,
            timeout_s=timeout_s,
            epochs=epochs,
            share=part,
            search=choices.names(search) if search is not None else USUAL,
            fresh=fresh,
            reporter=voice,
        )
    finally:
        voice.close()
    if json_:
        print_json(found.model_dump(mode="json"))
    elif not quiet:
        _show(found, out)


def _show(found: Evidence, out: Path) -> None:
    from edgedistill.report.tuning import shown

    best = found.trial(found.best)
    rows = [
        (row.key, shown(row.default), shown(best.values[row.name]), f"{found.importance[row.name]:.0%}")
        if row.name in found.importance
        else (row.key, shown(row.default), shown(best.values[row.name]), "-")
        for row in found.space
    ]
    print_table(("key", "default", "best", "importance"), rows)
    to = console()
    to.print(found.sentence, markup=False)
    to.print(f"{out}/tuning.html has every trial; build with:", markup=False, soft_wrap=True)
    to.print(f"  edgedistill build --recipe {out}/recipe.toml", markup=False, soft_wrap=True)
