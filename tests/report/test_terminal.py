"""The terminal's tables hold the figures and read no name as markup."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from edgedistill.record import BuildRecord
from edgedistill.report import people
from edgedistill.report.html import render
from edgedistill.report.terminal import table


def _text(*records: BuildRecord) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(table(records))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_figures(record: BuildRecord) -> None:
    text = _text(record)
    row = next(line for line in text.splitlines() if line.strip().startswith("android-arm64"))
    expected = "android-arm64 95.2 % 93.1 % 93.0 % 96.3 kB 0.412 ms (3.2x) 2 of 3"
    assert row.split() == expected.split()
    assert "3 differ, at most 1 LSB" in text and "not run" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_attacks(attacked: BuildRecord) -> None:
    text = _text(attacked, attacked)
    assert "1,200 images" in text and text.count("PGD-20") == 1
    row = next(line for line in text.splitlines() if line.strip().startswith("AutoAttack"))
    assert row.split() == ["AutoAttack", "not", "run", "40.5", "%", "39.5", "%", "51", "63"]
    assert all(len(line) <= 80 for line in text.splitlines())


def test_a_microcontroller_shows_its_firmware(firmware: BuildRecord) -> None:
    text = _text(firmware)
    row = next(line for line in text.splitlines() if line.strip().startswith("nucleo-l4r5zi"))
    expected = "nucleo-l4r5zi 95.2 % 93.1 % 93.0 % 88.1 kB 16.2 M instr. 3 of 4"
    assert row.split() == expected.split()
    assert "identical, emulated" in text


def test_an_accelerator_shows_what_its_compiler_foretells(accelerated: BuildRecord) -> None:
    text = _text(accelerated)
    assert "0.403 ms, modelled" in text and "0.412 ms" not in text
    assert all(len(line) <= 80 for line in text.splitlines())
    page = render(accelerated)
    assert "for one inference on the accelerator, modelled" in page and "cycles of the accelerator" in page
    unknown = tuple(
        m.model_copy(update={"value": None}) if m.how == "modelled" else m for m in accelerated.measurements
    )
    assert "0.412 ms" in _text(accelerated.model_copy(update={"measurements": unknown}))


def test_several_targets_have_a_row_each(record: BuildRecord) -> None:
    text = _text(
        record, record.model_copy(update={"target": "[red]x[/red]", "parity": (), "measurements": ()})
    )
    assert "[red]x[/red]" in text


@pytest.mark.parametrize(
    ("count", "words"),
    [(999, "999 B"), (96_312, "96.3 kB"), (318_540, "319 kB"), (999_970, "1.0 MB"), (None, "not run")],
)
def test_sizes(count: int | None, words: str) -> None:
    assert people.size(count) == words


def test_small_differences_have_no_minus_zero() -> None:
    assert people.points(-0.0001) == "±0.0 points"
    assert people.points(-0.021) == "−2.1 points"
    assert people.milliseconds(0.5) == "0.500 ms"
    assert people.duration(228) == "3 min 48 s"
