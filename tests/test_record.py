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


def test_a_row_breaks_the_gate_only_where_bits_are_owed() -> None:
    differs = records.Parity(runtime="r 1", artifact="a", values=10, identical=9, max_lsb=1, top1_flips=0)
    assert differs.broken and "1 of 10 values (at most 1 LSB" in differs.difference
    assert differs.model_copy(update={"how": "emulated"}).broken
    for change in ({"promised": False}, {"how": "not run"}, {"identical": 10}):
        assert not differs.model_copy(update=change).broken
    other = differs.model_copy(update={"family": "D"})
    assert other.broken and "from the interpreter in family D on 1 of 10" in other.difference
