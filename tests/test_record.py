"""Records survive the disk, and what is no record is refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedistill import record as records
from edgedistill.errors import InputError
from edgedistill.recipe import Recipe
from tests.cli.conftest import record


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    before = record("raspberry-pi-5", Recipe(seed=3))
    records.save(before, tmp_path / "record.json")
    assert records.load(tmp_path / "record.json") == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a build record: Invalid JSON"),
        ("{}", "not a build record: edgedistill_version: Field required"),
        ("\x00", "not a build record"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        records.load(path)
    assert caught.value.where == str(path)


def test_a_missing_record_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"(?s)cannot be read: No such file.*folder of a finished build"):
        records.load(tmp_path / "record.json")
