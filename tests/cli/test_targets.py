"""A target file of one's own: begun from a device, and told all its mistakes at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgedistill import target as devices
from edgedistill.cli.target_file import MEASURED, started
from tests.cli.conftest import Run


@pytest.mark.parametrize("name", ["nucleo-l4r5zi", "android-flagship", "corstone-300-ethos-u65-256"])
def test_a_started_file_is_good_and_says_what_to_do(run: Run, name: str) -> None:
    result = run("targets", "new", "--from", name, "my-board.toml")
    assert result.exit_code == 0 and "targets check my-board.toml" in result.stdout
    text, made = Path("my-board.toml").read_text(), devices.load("my-board.toml")
    original = devices.load(name)
    assert text.startswith(f"# my-board: begun as a copy of {name} ({original.title}).")
    assert made.title == f"my-board, begun from {name}" and made.name == "my-board"
    same = {"name": original.name, "title": original.title}
    assert made.model_copy(update=same) == original
    measured = any(getattr(original, key, None) for key in MEASURED)
    assert (f"# Measured on {name}; measure on your device, or delete: " in text) == measured
    assert ("# [clock_hz]" in text) == (original.clock_hz is None)
    assert run("targets", "check", "my-board.toml").exit_code == 0


def test_every_device_can_be_begun_from(tmp_path: Path) -> None:
    for name in devices.names():
        device, path = devices.load(name), tmp_path / "x.toml"
        path.write_text(started("x", device, devices.text_of(name)))
        assert devices.check_file(path) == (), name


def test_comments_become_facts_by_removing_the_sign(run: Run) -> None:
    run("targets", "new", "--from", "cortex-m4", "mine.toml")
    text = Path("mine.toml").read_text().splitlines()
    start = text.index("# [cores]")
    lines = [
        line.removeprefix("# ") if i >= start and "Limits" not in line else line
        for i, line in enumerate(text)
    ]
    Path("mine.toml").write_text("\n".join(lines))
    made = devices.load("mine.toml")
    assert made.clock_hz is not None and made.flash_bytes is not None and made.budget["flash"] == "256KiB"


def test_a_file_is_begun_from_ones_own_and_overwritten_only_by_force(run: Run) -> None:
    run("targets", "new", "--from", "raspberry-pi-5", "one.toml")
    made = run("targets", "new", "--from", "one.toml", "two.toml", "--json")
    assert json.loads(made.stdout) == {"name": "two", "from": "one.toml", "path": "two.toml"}
    Path("two.toml").write_text("mine")
    result = run("targets", "new", "--from", "raspberry-pi-5", "two.toml")
    assert result.exit_code == 2 and "the file exists" in result.stderr and "--force" in result.stderr
    assert Path("two.toml").read_text() == "mine"
    assert run("targets", "new", "--from", "raspberry-pi-5", "two.toml", "--force").exit_code == 0
    assert devices.load("two.toml").cores is not None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "raspbery-pi-5", "x.toml"), "did you mean raspberry-pi-5"),
        (("--from", "raspberry-pi-5", "My Board.toml"), "'My Board' cannot name a target"),
        (("--from", "raspberry-pi-5", "board"), "for example my-board.toml"),
        (("--from", "raspberry-pi-5", "no/such/folder.toml"), "the target file cannot be written"),
        (("--from", "missing.toml", "x.toml"), "the target file does not exist"),
    ],
)
def test_a_mistake_is_told(run: Run, arguments: tuple[str, ...], words: str) -> None:
    result = run("targets", "new", *arguments)
    assert result.exit_code == 2 and words in result.stderr
    assert not Path("x.toml").exists()


def test_check_tells_every_mistake_and_what_is_not_stated(run: Run) -> None:
    run("targets", "new", "--from", "cortex-m4", "mine.toml")
    told = run("targets", "check", "mine.toml").stdout
    assert "not stated: clock_hz: instructions cannot become milliseconds" in told
    assert "mine.toml: good" in told
    gaps = json.loads(run("targets", "check", "mine.toml", "--json").stdout)["gaps"]
    assert any(text.startswith("ram_bytes") for text in gaps)
    text = Path("mine.toml").read_text()
    Path("mine.toml").write_text(text.replace('"cortex-m4"', "4") + "[budgt]\nflash = '1MiB'\n")
    result = run("targets", "check", "mine.toml")
    assert result.exit_code == 2 and "the file has 2 mistakes" in result.stderr
    assert "cpu.value must be a text in quotes; it is 4" in result.stderr
    last = len(Path("mine.toml").read_text().splitlines()) - 1
    assert f"mine.toml, line {last}: unknown key 'budgt' (did you mean 'budget'?)" in result.stderr


def test_an_accelerator_is_shown(run: Run) -> None:
    shown = " ".join(run("targets", "show", "corstone-300-ethos-u55-128").stdout.split())
    assert "ethos-u55-128" in shown and "Shared_Sram" in shown and "default_runner" in shown
    assert "budget.flash" in run("targets", "show", "nucleo-l4r5zi").stdout
