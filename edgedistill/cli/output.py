"""What all commands share: --json, --quiet, and how a result is printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from edgedistill.record import Parity
    from edgedistill.reporter import Reporter
    from edgedistill.runners.cortex_m.mix import Mix

Json = Annotated[bool, typer.Option("--json", help="Result as JSON; progress as JSON lines on stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors and warnings.")]


def print_json(value: object) -> None:
    """One JSON document on stdout."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None) -> None:
    """A table for people; long cells wrap, no cell is read as markup."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    narrow = all(len(row[0]) <= 24 for row in rows)
    for i, name in enumerate(columns):
        table.add_column(name, overflow="fold", no_wrap=i == 0 and narrow)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console().print(table)


def print_functions(mix: Mix) -> None:
    """What the instructions of every function were, and of all: rounded, so that a line has room for them."""
    from edgedistill.units import format_count

    rows = [f.as_dict() for f in (*mix.functions, mix.whole)]
    table = [tuple(n if isinstance(n, str) else format_count(n) for n in row.values()) for row in rows]
    heads = (
        "function",
        "all",
        "mul-add",
        "mul",
        "arith",
        "load",
        "store",
        "branch",
        "other",
        "read B",
        "written B",
    )
    print_table(heads, table, title="instructions of one inference, and the bytes they move")


def print_parity(rows: Sequence[Parity]) -> None:
    """How every runtime compared with the interpreter."""
    table = [
        (
            row.runtime,
            row.artifact,
            row.family,
            "not run" if row.how == "not run" else f"{row.identical:,} of {row.values:,}",
            "" if row.how == "not run" else f"{row.max_lsb} LSB",
            row.note,
        )
        for row in rows
    ]
    print_table(("runtime", "file", "family", "identical values", "worst", "note"), table)


def console(*, stderr: bool = False) -> Console:
    """For people: colours on a terminal, plain text in a pipe."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def reporter(*, quiet: bool, as_json: bool) -> Reporter:
    """The reporter that fits the flags and the terminal."""
    from edgedistill import reporter as reporters

    if quiet:
        return reporters.QuietReporter(warnings=not as_json)
    if as_json:
        return reporters.JsonReporter()
    to = console(stderr=True)
    return reporters.RichReporter(to) if to.is_terminal else reporters.PlainReporter()
