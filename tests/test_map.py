"""README's map of the tree names every module, in the words of its docstring's first line."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent


def rows() -> dict[str, str]:
    """What the map says, by path; indentation is the folder."""
    block = (ROOT / "README.md").read_text(encoding="utf-8").split("## Map of the tree")[1].split("```")[1]
    found, parents = {}, list[str]()
    for line in block.splitlines()[1:]:
        name, _, words = line.strip().partition(" ")
        parents = [*parents[: (len(line) - len(line.lstrip())) // 2], name.rstrip("/")]
        found["/".join(parents)] = words.strip().replace("`", "")
    return found


def test_every_module_has_its_line() -> None:
    files = [*(ROOT / "edgedistill").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
    wanted = {}
    for file in files:
        module = file.parent if file.name == "__init__.py" else file
        docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        wanted[module.relative_to(ROOT).as_posix()] = docstring.split("\n")[0].replace("`", "")
    said = rows()
    assert {path: said.get(path) for path in wanted} == wanted


def test_every_line_has_its_file() -> None:
    assert [path for path in rows() if not (ROOT / path).exists()] == []
