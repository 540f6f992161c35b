"""The flags that several commands share, and the recipe that they choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgedistill.errors import InputError
from edgedistill.units import LIMITS

if TYPE_CHECKING:
    from edgedistill.recipe import Recipe

DATA = "What it learns from"
TRAINING = "Training"
SEARCH = "Search"
RESULT = "Result"

Target = Annotated[
    list[str] | None,
    typer.Option("--target", "-t", metavar="NAME[,NAME]", help="Device (see `targets list`)."),
]
RecipeFile = Annotated[
    Path | None,
    typer.Option("--recipe", "-r", metavar="FILE", help="Choices as TOML; flags override it."),
]
Teacher = Annotated[
    str | None,
    typer.Option("--teacher", metavar="SPEC", help="See `list teachers`.", rich_help_panel=DATA),
]
Examples = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="PATH",
        help="Folder of class folders, parquet, .npz, or module:callable.",
        rich_help_panel=DATA,
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="PATH",
        help="Folder of class folders, parquet, .npz, module:callable, or synthetic[:KEY=VALUE,...].",
        rich_help_panel=DATA,
    ),
]
TestData = Annotated[
    str | None,
    typer.Option(
        "--test-data",
        metavar="PATH",
        help="What the finished student is tested on, if not a part of --data.",
        rich_help_panel=DATA,
    ),
]
Trust = Annotated[
    bool | None,
    typer.Option("--trust", help="Allow pickled code in teacher and data.", rich_help_panel=DATA),
]
Student = Annotated[
    str | None,
    typer.Option("--student", metavar="SPEC", help="See `list students`.", rich_help_panel=TRAINING),
]
Budget = Annotated[
    list[str] | None,
    typer.Option(
        "--budget",
        metavar="K=V[,K=V]",
        help="Limits, as flash=96KiB,latency=2ms,accuracy=90%; exit code 1 if missed.",
        rich_help_panel=RESULT,
    ),
]
Seed = Annotated[
    int | None, typer.Option("--seed", metavar="N", help="Of all randomness.", rich_help_panel=TRAINING)
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any key of a recipe, as distill.lr=0.1.",
        rich_help_panel=TRAINING,
    ),
]
Fresh = Annotated[
    bool,
    typer.Option("--fresh/--resume", help="Forget what is done, or go on from it.", rich_help_panel=RESULT),
]


def out(gets: str) -> Any:
    """The option ``--out`` of a command: what the folder gets."""
    return typer.Option("--out", "-o", metavar="DIR", help=gets, rich_help_panel=RESULT)


_CHOOSING = frozenset(f"budget.{name}" for name in LIMITS if name != "accuracy")
"""Limits that a student is chosen for."""


def chosen(
    recipe: Path | None, assignments: Sequence[str] | None, given: Mapping[str, object | None]
) -> Recipe:
    """The recipe of a command: its file, ``--set``, and flags by their dotted key (None: not given).

    Without a file, a teacher and data it is the built-in example.
    """
    overrides = set_keys(assignments or ())
    overrides.update({key: value for key, value in given.items() if value is not None})
    source = overrides.get("data.source")
    if isinstance(source, str) and source.startswith("synthetic:"):
        overrides.update(_synthesis(source))

    from edgedistill import recipe as recipes
    from edgedistill import target as devices

    if recipe is None and not {"teacher.spec", "data.source"} & overrides.keys():
        recipe = recipes.example()
        search = overrides.get("sizing.search", "none" if _CHOOSING.isdisjoint(overrides) else "auto")
        if search != "none":  # the example's student is not the user's
            overrides = {"student.spec": "auto", **overrides}
    result = recipes.resolve(recipe, overrides)
    for name in result.targets:
        devices.load(name)  # a wrong name is told before torch is imported, which takes seconds
    return result


def targets(flags: Sequence[str] | None) -> list[str] | None:
    """Names of devices, however often and with how many commas ``--target`` was given."""
    return [name for text in flags for name in names(text)] if flags else None


def names(text: str) -> list[str]:
    """The parts of a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def pairs(text: str, flag: str, example: str) -> dict[str, str]:
    """``KEY=VALUE[,KEY=VALUE]``, the values as texts."""
    found = {}
    for part in names(text):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not (key and equals and value):
            raise InputError(f"{part!r} is not KEY=VALUE", where=flag, fix=f"for example {flag} {example}")
        found[key] = value
    return found


def set_keys(texts: Sequence[str]) -> dict[str, object]:
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


def _synthesis(data: str) -> dict[str, object]:
    """``synthetic:images=20000,resolution=32`` as keys of the recipe."""
    source, _, options = data.partition(":")
    found = pairs(options, "--data", "synthetic:images=20000")
    texts = [
        f"{'data' if key == 'resolution' else 'synthesis'}.{key}={value}" for key, value in found.items()
    ]
    return {"data.source": source, **set_keys(texts)}
