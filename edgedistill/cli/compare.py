"""The command ``compare``: finished builds side by side, on the terminal, as JSON or as a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedistill.cli.output import Json, Quiet, console, print_json, print_table
from edgedistill.errors import InputError, writing

if TYPE_CHECKING:
    from edgedistill.record import BuildRecord


def compare(
    paths: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Finished builds, or folders that hold some.")
    ],
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page, too: one file, no network.")
    ] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Sets builds side by side: accuracy, size, speed, bits, and where their recipes differ."""
    builds = _builds(paths)

    from dataclasses import asdict

    from edgedistill.report import compare as report

    found = report.compared(builds)
    if html is not None:
        with writing("the page", html):
            html.write_text(report.page(found), encoding="utf-8")
    if json_:
        print_json(asdict(found))
    elif not quiet:
        for rows in found.groups.values():
            table = [
                (row.label, *(_marked(w, i in row.best) for i, w in enumerate(row.words))) for row in rows
            ]
            print_table(("figure", *found.names), table)
        if found.recipes:
            print_table(("recipe", *found.names), [(key, *values) for key, values in found.recipes])
        for remark in found.remarks:
            console().print(f"note: {remark}", style="yellow", markup=False)


def _marked(words: str, best: bool) -> str:
    return f"{words} *" if best else words


def _builds(paths: list[Path]) -> dict[str, BuildRecord]:
    """The records under the shortest names that tell them apart.

    Raises:
        InputError: a folder holds no build, or there is only one in all.
    """
    from edgedistill import record as records
    from edgedistill.bench.files import RECORD

    folders: dict[Path, None] = {}
    for path in paths:
        inside = [path] if (path / RECORD).exists() else sorted(f.parent for f in path.glob(f"*/{RECORD}"))
        if not inside:
            raise InputError(
                "there is no finished build here",
                where=str(path),
                fix=f"give a folder with {RECORD}, or one with such folders, such as out/",
            )
        folders.update(dict.fromkeys(inside))
    if len(folders) < 2:
        raise InputError("one build has nothing beside it", where=str(paths[0]), fix="give two or more")
    return {name: records.load(f / RECORD) for name, f in zip(_names(list(folders)), folders, strict=True)}


def _names(folders: list[Path]) -> list[str]:
    """As many of the last parts of each path as make all names different."""
    parts = [folder.resolve().parts for folder in folders]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-count:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]
