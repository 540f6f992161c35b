"""The command ``list``: the tables of the packages, as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from edgedistill.cli.output import Json, Quiet, print_json, print_table
from edgedistill.errors import UnknownNameError

Rows = tuple[tuple[str, ...], ...]  # the first row names the columns


def list_(
    kind: Annotated[
        str,
        typer.Argument(
            help="teachers, families, students, losses, searches, syntheses, exporters, readers, "
            "runners, places, packages or tasks."
        ),
    ],
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Lists what can be chosen: teachers, students, losses, what tune searches, and more."""
    if kind not in LISTS:
        raise UnknownNameError("list", kind, LISTS, where="edgedistill list")
    columns, *rows = LISTS[kind]()
    if json_:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    elif quiet:
        print("\n".join(row[0] for row in rows))
    else:
        print_table(columns, rows)


def _teachers() -> Rows:
    from edgedistill.teachers import TEACHERS

    rows = ((kind.spec, kind.purpose, kind.needs or "nothing more") for kind in TEACHERS.values())
    return (("--teacher", "what it is", "needs"), *rows)


def _families() -> Rows:
    from edgedistill.teachers.families import FAMILIES

    rows = (
        (name, row.summary, f"{row.training.epochs} epochs of {row.training.optimiser}", row.source)
        for name, row in FAMILIES.items()
    )
    return (("--teacher-family", "what it is", "training", "source"), *rows)


def _students() -> Rows:
    from edgedistill.students import STUDENTS

    rows = (
        (name, family.summary, ",".join(f"{k}={v:g}" for k, v in family.numbers().items()), family.source)
        for name, family in STUDENTS.items()
    )
    return (("--student", "what it is", "numbers and their defaults", "source"), *rows)


def _losses() -> Rows:
    from edgedistill.distill.losses import LOSSES

    rows = (
        (
            name,
            f"{loss.summary}: {loss.equation}",
            ", ".join(loss.needs),
            ",".join(f"{k}={v:g}" for k, v in loss.options.items()) or "none",
            loss.source,
        )
        for name, loss in LOSSES.items()
    )
    return (("name", "what it is: equation", "needs", "options", "source"), *rows)


def _searches() -> Rows:
    from edgedistill.tuning.space import KNOBS

    rows = (
        (name, knob.key, "yes" if knob.usual else "if named", knob.reason) for name, knob in KNOBS.items()
    )
    return (("--search", "key", "searched", "why so"), *rows)


def _syntheses() -> Rows:
    from edgedistill.synthesis.methods import METHODS

    rows = ((name, row.summary, row.source) for name, row in METHODS.items())
    return (("synthesis.method", "what it is", "source"), *rows)


def _exporters() -> Rows:
    from edgedistill.export import EXPORTERS

    return (
        ("--formats", "file", "runs on"),
        *((n, r.path(Path()).name, r.text) for n, r in EXPORTERS.items()),
    )


def _readers() -> Rows:
    from edgedistill.read import READERS

    return (("file", "what it is"), *((suffix, row.text) for suffix, row in READERS.items()))


def _runners() -> Rows:
    from edgedistill.runners import RUNNERS

    rows = ((n, row.suffix, row.text, "yes" if row.can_run_here else "no") for n, row in RUNNERS.items())
    return (("name", "files", "what it is", "runs here"), *rows)


def _places() -> Rows:
    from edgedistill.bench.places import PLACES

    return (("bench --on", "where it measures"), *((r.written(n), r.text) for n, r in PLACES.items()))


def _tasks() -> Rows:
    from edgedistill.tasks import TASKS

    rows = ((n, t.summary, t.metric, ", ".join(t.students), ", ".join(t.losses)) for n, t in TASKS.items())
    return (("name", "what it is", "metric", "students", "losses"), *rows)


def _packages() -> Rows:
    from edgedistill.package import PACKAGES

    rows = ((name, row.text, " or ".join(row.formats) or "any") for name, row in PACKAGES.items())
    return (("--for", "what it is", "needs"), *rows)


LISTS: Mapping[str, Callable[[], Rows]] = {
    "teachers": _teachers,
    "families": _families,
    "students": _students,
    "losses": _losses,
    "searches": _searches,
    "syntheses": _syntheses,
    "exporters": _exporters,
    "readers": _readers,
    "runners": _runners,
    "places": _places,
    "packages": _packages,
    "tasks": _tasks,
}
