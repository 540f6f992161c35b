"""Writes cost models into target files: into the user's own, or into an overlay of one that ships."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from edgedistill import target as targets
from edgedistill.errors import InputError, writing
from edgedistill.store import atomic_write
from edgedistill.tables import parse_toml, read_text
from edgedistill.target import Cost, Overlay

HEAD = "# By `edgedistill calibrate`, which replaces all from here on."
_BEGIN = re.compile(rf"^(?:{re.escape(HEAD)}|\[\[cost\]\]|\[cost\b)", re.MULTILINE)
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def place(name_or_file: str, out: Path | None) -> Path:
    """Where the models of a target go: where the user says, into the user's file, or into the overlay."""
    if out is not None:
        return out
    return Path(name_or_file) if name_or_file.endswith(".toml") else targets.overlay_path(name_or_file)


def save(cost: Cost, path: Path) -> None:
    """Puts a model into a file in place of an older one of the same runtime and quantity.

    What stands before the first model stays as it is, comments and all.

    Raises:
        InputError: the file cannot be read, or other tables follow the models.
        OutputError: it cannot be written.
    """
    head, older = _split(path)
    text = (head.rstrip("\n") + "\n\n" if head.strip() else "") + to_text(targets.merged(older, (cost,)))
    with writing("the cost model", path, "choose a file that can be written with --out"):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, text.encode())


def check(path: Path) -> None:
    """Says before anything is measured that ``save`` could not keep what a file holds.

    Raises:
        InputError: it cannot be read, or other tables follow the models.
    """
    _split(path)


def _split(path: Path) -> tuple[str, tuple[Cost, ...]]:
    """A file's text before its models, and the models."""
    text = read_text(path, "target") if path.exists() else ""
    found = _BEGIN.search(text)
    if found is None:
        return text, ()
    try:
        return text[: found.start()], parse_toml(text[found.start() :], Overlay, str(path)).cost
    except InputError as error:
        raise InputError(
            f"below its first [[cost]] this file holds something else than cost models: {error.what}",
            where=str(path),
            fix="move all other tables above the first [[cost]]",
        ) from error


def to_text(costs: Sequence[Cost]) -> str:
    """The models as TOML."""
    parts = [HEAD]
    for cost in costs:
        plain = cost.model_dump(mode="json", exclude={"coefficients"})
        parts += ["[[cost]]", *(f"{key} = {_value(value)}" for key, value in plain.items())]
        for kernel, coefficients in cost.coefficients.items():
            parts += ["", f"[cost.coefficients.{_key(kernel)}]"]
            parts += [f"{_key(name)} = {value!r}" for name, value in coefficients.items()]
        parts.append("")
    return "\n".join(parts)


def _value(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name)
