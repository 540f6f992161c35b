"""``compare``: names of builds, and folders that hold none."""

from __future__ import annotations

import json
from pathlib import Path

from edgedistill import record as records
from edgedistill.recipe import Recipe
from tests.cli.conftest import Run, record


def _build(folder: Path) -> None:
    folder.mkdir(parents=True)
    records.save(record(folder.name, Recipe()), folder / "record.json")


def test_side_by_side(run: Run, tmp_path: Path) -> None:
    for name in ("one/phone", "one/board", "two/phone"):
        _build(tmp_path / name)
    result = run("compare", "one", "two/phone", "--json", "--html", "page.html")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["names"] == ["one/board", "one/phone", "two/phone"]
    assert "one/board" in Path("page.html").read_text(encoding="utf-8")
    words = run("compare", "one", "two")
    assert "Student, int8" in words.output and "one/board" in words.output


def test_users_mistakes(run: Run, tmp_path: Path) -> None:
    _build(tmp_path / "one" / "phone")
    for arguments, words in (
        (("nowhere",), "no finished build here"),
        (("one",), "one build has nothing beside it"),
        (("one/phone", "one/phone"), "one build has nothing beside it"),
    ):
        result = run("compare", *arguments)
        assert result.exit_code == 2 and words in result.stderr, result.stderr
    _build(tmp_path / "two")
    result = run("compare", "one", "two", "--html", "not/there.html")
    assert result.exit_code == 2 and "the page cannot be written" in result.stderr
    (tmp_path / "two" / "record.json").write_text("{}")
    result = run("compare", "one", "two")
    assert result.exit_code == 2 and "this is not a build record" in result.stderr
