"""The command ``schema``: JSON schemas of the files that people and programs write and read."""

from __future__ import annotations

from typing import Annotated

import typer

from edgedistill.cli.output import Json, Quiet, print_json
from edgedistill.errors import UnknownNameError

_KINDS = ("recipe", "record", "target")


def schema(
    kind: Annotated[str, typer.Argument(help="recipe, record or target.")],
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Prints a JSON schema, for editors and for programs that read record.json."""
    from edgedistill import recipe, record, target

    if kind not in _KINDS:
        raise UnknownNameError("schema", kind, _KINDS, where="edgedistill schema")
    if not quiet:
        print_json(
            {"recipe": recipe.json_schema, "record": record.json_schema, "target": target.json_schema}[kind]()
        )
