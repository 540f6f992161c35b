"""Finds and fills the templates of packages: text of the user's goes through a filter of escape.py."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.package import escape

if TYPE_CHECKING:
    from jinja2 import Environment

FILTERS = ("json_text", "kotlin", "swift", "c", "toml", "markdown", "identifier")
_HTML = (".html.j2", ".xml.j2", ".svg.j2")  # Jinja escapes every value there by itself


def render(template: str, values: Mapping[str, object]) -> str:
    """A template's text, by its path below edgedistill/package, such as raspberry-pi/README.md.j2."""
    return _environment().get_template(template).render(dict(values))


def plain(name: str) -> str:
    """A file of the package's data as it is, such as raspberry-pi/predict.cpp."""
    return resources.files("edgedistill.package").joinpath(name).read_text(encoding="utf-8")


def write(out: Path, path: str, text: str) -> None:
    """Writes text in UTF-8 with Unix line ends to ``out / path``, folders included."""
    file = out / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode("utf-8"))


@cache
def _environment() -> Environment:
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(plain),
        autoescape=lambda name: name is not None and name.endswith(_HTML),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update({name: getattr(escape, name) for name in FILTERS})
    return made
