"""The report holds what the record says, harmlessly, on one small page."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from edgedistill.record import Accuracy, BuildRecord, EpochLog
from edgedistill.report import mistakes
from edgedistill.report.html import render

HOSTILE = '<script>alert("x")</script>'


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _parsed(page: str) -> tuple[_Tags, str]:
    parser = _Tags()
    parser.feed(page)
    return parser, re.sub(r"\s+", " ", " ".join(parser.text))


def test_headline_and_tables(record: BuildRecord) -> None:
    _, text = _parsed(render(record))
    assert "answers 93.0 % of 10,000 test images right (−2.2 points against its teacher)" in text
    assert "It takes 96.3 kB, 3.3 times smaller than in float32." in text
    assert "same bits in 2 of the 3 runtimes that ran here" in text
    assert "3.2× as fast as float32, litert 2.3.0" in text
    assert "3 differ, at most 1 LSB" in text
    assert "b2" * 32 in text  # a digest in full
    assert "0.412 / 0.453 / 0.577" in text
    assert "12,501,632" in text
    assert "timm:" in text and "distill.temperature" in text
    assert "the teacher is right on 95.2 % of the test images only" in text


def test_every_table_has_header_cells_with_a_scope_and_every_picture_words(record: BuildRecord) -> None:
    wrong = mistakes.worst(
        np.array([[90, -90], [90, -90]], np.int8),
        0.1,
        np.zeros((2, 8, 8, 1), np.uint8),
        np.array([1, 0]),
        ("cat", "dog"),
    )
    page = render(record, (), wrong)
    tables = re.findall(r"<table.*?</table>", page, re.DOTALL)
    assert tables and all("<th scope=" in table for table in tables)
    assert not re.findall(r"<th(?! scope=\"(?:col|row)\")[ >]|<th[^>]*></th>", page)
    rows = re.findall(r"<tbody>(.*?)</tbody>", page, re.DOTALL)
    assert all(part.count("<tr>") == part.count('<th scope="row"') for part in rows)
    assert 'alt="dog, taken for cat"' in page and page.count("<img") == page.count(' alt="') == 1


def test_attacks_have_a_row_each(attacked: BuildRecord) -> None:
    _, text = _parsed(render(attacked))
    assert "1,200 test images, of which an attacker may change every value by at most 8 of 255" in text
    assert "AutoAttack is pyautoattack 0.2.0: apgd-ce, apgd-t, fab-t, square." in text
    assert "PGD-20 51.2 % 45.0 % 44.0 % 46.0 % 31 43" in text
    assert "AutoAttack not run 40.5 % 39.5 % 41.5 % 51 63" in text


def test_a_teacher_that_was_not_attacked_says_why(attacked: BuildRecord) -> None:
    assert attacked.robustness is not None and attacked.robustness.teacher is not None
    teacher = attacked.robustness.teacher.model_copy(
        update={"clean": None, "robust": None, "note": "no torch <module>"}
    )
    changed = attacked.robustness.model_copy(update={"teacher": teacher, "autoattack": None})
    _, text = _parsed(render(attacked.model_copy(update={"robustness": changed})))
    assert "AutoAttack was not run. The teacher was not attacked: no torch <module>." in text
    assert "PGD-20 not run 45.0 %" in text


def test_nothing_is_said_where_nothing_was_attacked(record: BuildRecord) -> None:
    assert "attack" not in render(record).lower()


def test_firmware_is_marked_emulated_and_estimates_are_called_so(firmware: BuildRecord) -> None:
    _, text = _parsed(render(firmware))
    assert "It takes 88.1 kB of flash." in text and "88.1 kB of flash, emulated" in text
    assert "16.2 M instructions for one inference, emulated" in text
    assert "c on mps2-an386, qemu 7.2.17 c F identical, emulated" in text
    for words in ("RAM", "stack", "flash", "estimated latency", "estimated energy", "9,300 µJ", "612 B"):
        assert words in text, words
    assert "an estimate, 203 to 244 ms" in text


def test_not_run_is_shown_as_not_run(record: BuildRecord) -> None:
    page = render(record)
    row = page[page.index("coreml<span") :]
    assert '<span class="pill idle">not run</span>' in row[: row.index("</tr>")]
    assert "no energy meter" in page


def test_hostile_names_are_text(record: BuildRecord) -> None:
    hostile = record.model_copy(update={"target": '"><img src=x onerror=alert(1)>'})
    page = render(hostile)
    parser, text = _parsed(page)
    assert "script" not in parser.tags and "img" not in parser.tags
    assert not [name for name, _ in parser.attributes if name.startswith("on")]
    assert HOSTILE in text
    assert "onerror=alert(1)>" in text


def test_self_contained_and_small(record: BuildRecord) -> None:
    page = render(record)
    assert not re.search(r"(src|href)\s*=|url\(|@import|https?://", page)
    assert "prefers-color-scheme: dark" in page and "@media print" in page
    assert len(page.encode()) < 500_000


def test_many_classes_and_epochs_stay_under_the_limit(record: BuildRecord) -> None:
    rng = np.random.default_rng(0)
    confusion = tuple(tuple(int(n) for n in row) for row in rng.integers(0, 9, (200, 200)))
    epochs = tuple(
        EpochLog(
            stage="distill", epoch=i, loss=1.0, validation_accuracy=0.5, images_per_s=1, seconds=1, lr=0.1
        )
        for i in range(600)
    )
    labels = tuple(f"class number {i}" for i in range(200))
    page = render(record.model_copy(update={"confusion": confusion, "epochs": epochs, "labels": labels}))
    assert len(page.encode()) < 500_000


def test_an_empty_record_renders(record: BuildRecord) -> None:
    bare = record.model_copy(
        update={
            "accuracy": Accuracy(),
            "artifacts": (),
            "parity": (),
            "measurements": (),
            "epochs": (),
            "confusion": (),
            "warnings": (),
        }
    )
    _, text = _parsed(render(bare))
    assert "Nothing was measured in this build." in text
    assert "No runtime was compared in this build." in text


def test_not_exact_graph_names_its_operators(record: BuildRecord) -> None:
    graph = record.graph.model_copy(
        update={"exact_by_construction": False, "inexact_ops": ("ADD block1.add",)}
    )
    _, text = _parsed(render(record.model_copy(update={"graph": graph})))
    assert "Not exact by construction: ADD block1.add" in text


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on PATH to draw the page")
@pytest.mark.parametrize("width", [390, 1280])
def test_browser_draws_it(record: BuildRecord, tmp_path: Path, width: int) -> None:
    from PIL import Image

    page, shot = tmp_path / "report.html", tmp_path / "shot.png"
    page.write_text(render(record), encoding="utf-8")
    subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--hide-scrollbars",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--window-size={width},1600",
            f"--screenshot={shot}",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    with Image.open(shot) as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.shape == (1600, width)
    assert len(np.unique(pixels)) > 20  # not a blank page
    quarters = np.array_split(pixels, 4)
    assert all(quarter.std() > 5 for quarter in quarters)  # content from top to bottom
