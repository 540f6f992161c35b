"""Reads a user's TOML into a typed value, strictly: mistakes name file, key and remedy; and writes TOML."""

from __future__ import annotations

import difflib
import json
import re
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from edgedistill.errors import InputError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

M = TypeVar("M", bound=BaseModel)


def read_text(path: Path, kind: str) -> str:
    """The text of a user's file.

    Raises:
        InputError: it is missing, is a folder, may not be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        fix = _nearest_file(path)
        raise InputError(f"the {kind} file does not exist", where=str(path), fix=fix) from error
    except OSError as error:
        raise InputError(f"the {kind} file cannot be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise InputError(f"the {kind} file is not UTF-8 text", where=f"{path}, byte {error.start}") from error


def parse_toml(text: str, model: type[M], where: str, given: Mapping[str, object] | None = None) -> M:
    """TOML text as a ``model``; ``given`` are values that the file need not repeat."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        fix = "texts stand in quotes, tables in [brackets]; see https://toml.io"
        raise InputError(f"this is not TOML: {error}", where=where, fix=fix) from error
    return validate({**(given or {}), **values}, model, where)


def validate(values: Mapping[str, object], model: type[M], where: str) -> M:
    """``values`` as a ``model``.

    Raises:
        InputError: the first mistake, with the dotted key; an unknown key offers the nearest known one.
    """
    try:
        # by way of JSON: pydantic's strict mode then takes a list for a tuple, but never "4" or true for 4
        return model.model_validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise _explain(problem, model, where) from error


def problems(
    text: str, model: type[M], where: str, given: Mapping[str, object] | None = None
) -> tuple[InputError, ...]:
    """Every mistake of a TOML text as ``parse_toml`` tells one, with its line if its key is there."""
    try:
        values = tomllib.loads(text)
        model.model_validate_json(json.dumps({**(given or {}), **values}, default=str), strict=True)
    except tomllib.TOMLDecodeError as error:
        fix = "texts stand in quotes, tables in [brackets]; see https://toml.io"
        return (InputError(f"this is not TOML: {error}", where=where, fix=fix),)
    except ValidationError as error:
        return tuple(
            _explain(problem, model, where if line is None else f"{where}, line {line}")
            for problem in error.errors(include_url=False)
            for line in (line_of(text, problem["loc"]),)
        )
    return ()


def line_of(text: str, path: Sequence[int | str]) -> int | None:
    """The line, from 1, of a key's own assignment, or else of its table's header; None: neither is there.

    ``path`` is a key's place, such as ``("cores", "value")``; tables of a list count from 0.
    """
    header = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?")
    table: tuple[int | str, ...] = ()
    counts: dict[tuple[int | str, ...], int] = {}
    best: tuple[int, int] | None = None  # length of the part of the path that was found, line
    for number, line in enumerate(text.splitlines(), 1):
        match = header.fullmatch(line)
        if match:
            table = tuple(part.strip("\"' ") for part in match[2].split("."))
            if match[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            here = table
        elif "=" in line:
            here = (*table, *(part.strip("\"' ") for part in line.partition("=")[0].split(".")))
        else:
            continue
        if here and here == tuple(path[: len(here)]) and (best is None or len(here) > best[0]):
            best = (len(here), number)
    return None if best is None else best[1]


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every dotted key that a file of this model may have."""
    for name, field in model.model_fields.items():
        yield prefix + name
        inner = _section(field.annotation)
        if inner is not None:
            yield from keys(inner, f"{prefix}{name}{'[]' if _listed(field.annotation) else ''}.")


def unknown_key(key: str, model: type[BaseModel], where: str) -> InputError:
    """The error for a dotted key that no file of this model may have."""
    known = list(keys(model))
    wanted = re.sub(r"\[\d+\]", "[]", key)
    near = _nearest(wanted, known)
    siblings = [k.rpartition(".")[2] for k in known if k.rpartition(".")[0] == wanted.rpartition(".")[0]]
    fix = f"did you mean {near!r}?" if near else f"known here: {', '.join(siblings or known)}"
    return InputError(f"unknown key {key!r}", where=where, fix=fix)


def _explain(problem: ErrorDetails, model: type[BaseModel], where: str) -> InputError:
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"])[1:]
    kind, limits, given = problem["type"], problem.get("ctx", {}), problem["input"]
    if kind == "extra_forbidden":
        return unknown_key(key, model, where)
    if kind == "json_invalid":
        return InputError("a text is not valid UTF-8", where=where, fix="use names and paths in UTF-8")
    if kind == "missing":
        return InputError(f"the key {key!r} is missing", where=where)
    words = {
        "greater_than": f"must be greater than {limits.get('gt', 0):g}",
        "greater_than_equal": f"must be at least {limits.get('ge', 0):g}",
        "less_than": f"must be less than {limits.get('lt', 0):g}",
        "less_than_equal": f"must be at most {limits.get('le', 0):g}",
        "literal_error": f"must be {limits.get('expected')}",
        "int_type": "must be a whole number",
        "int_parsing": "must be a whole number",
        "int_from_float": "must be a whole number",
        "float_type": "must be a number",
        "float_parsing": "must be a number",
        "finite_number": "must be a finite number",
        "string_type": "must be a text in quotes",
        "bool_type": "must be true or false",
        "bool_parsing": "must be true or false",
        "tuple_type": "must be a list [...]",
        "dict_type": "must be a table",
        "model_type": "must be a table",
        "model_attributes_type": "must be a table",
        "string_too_short": "must not be empty",
    }.get(kind, f"is not valid: {problem['msg']}")
    return InputError(f"{key} {words}; it is {_shown(given)}", where=where, fix=f"change {key}")


def _nearest(key: str, known: list[str]) -> str | None:
    """The nearest key by its whole path, else by its last part ('temprature' is 'distill.temperature')."""
    whole = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if whole:
        return whole[0]
    last = {k.rpartition(".")[2]: k for k in reversed(known)}
    part = difflib.get_close_matches(key.rpartition(".")[2], list(last), n=1, cutoff=0.6)
    return last[part[0]] if part else None


def _nearest_file(path: Path) -> str | None:
    folder = path.parent
    if not folder.is_dir():
        return f"the folder {folder} does not exist either"
    near = difflib.get_close_matches(path.name, [p.name for p in folder.iterdir()], n=1, cutoff=0.6)
    return f"did you mean {folder / near[0]}?" if near else None


def _section(annotation: object) -> type[BaseModel] | None:
    """The model inside an annotation such as ``Section``, ``Fact[int] | None`` or ``tuple[Section, ...]``."""
    if get_origin(annotation) in (Union, types.UnionType, tuple):
        return next((s for s in map(_section, get_args(annotation)) if s is not None), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _listed(annotation: object) -> bool:
    if get_origin(annotation) in (Union, types.UnionType):
        return any(map(_listed, get_args(annotation)))
    return get_origin(annotation) is tuple


def _shown(value: object) -> str:
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def toml_value(text: str) -> object:
    """A single value as TOML would read it; what is no TOML value is a text without its quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def write_toml(values: Mapping[str, object]) -> str:
    """A TOML file of values and, below them, one table for each dictionary that is not empty."""
    lines = [f"{key} = {_toml(value)}" for key, value in values.items() if not isinstance(value, dict)]
    for name, section in values.items():
        if isinstance(section, dict) and section:
            lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in section.items())]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():  # JSON's escapes are TOML's, but for DEL (TOML 1.0, "Basic strings")
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case int() | float():
            return repr(value)
        case list() | tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case dict():
            return f"{{{', '.join(f'{_key(key)} = {_toml(item)}' for key, item in value.items())}}}"
    raise AssertionError(f"TOML is not written of a {type(value).__name__}")


def _key(key: str) -> str:
    """A name may be the user's text: in quotes where TOML wants them."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml(key)
