"""Charts draw what they are given and escape every name."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.report import svg

LINES = [svg.Series("loss", "loss", ((1.0, 2.0), (2.0, 1.0), (3.0, math.nan), (4.0, 0.5)))]


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_cover_the_range_evenly(low: float, span: float) -> None:
    marks = svg.ticks(low, low + span)
    step = marks[1] - marks[0]
    assert marks[0] <= low + 1e-6 * span + 1e-9 * abs(low)
    assert marks[-1] >= low + span - 1e-6 * span - 1e-9 * abs(low)
    assert 2 <= len(marks) <= 8
    assert all(math.isclose(b - a, step, rel_tol=1e-3) for a, b in pairwise(marks))


def test_lines_skip_what_is_not_finite() -> None:
    drawing = ET.fromstring(svg.lines("loss", LINES))
    polyline = drawing.find("polyline")
    assert polyline is not None and len(polyline.attrib["points"].split()) == 3


def test_higher_is_drawn_higher() -> None:
    drawing = ET.fromstring(svg.lines("loss", LINES))
    ys = [float(circle.attrib["cy"]) for circle in drawing.findall("circle")]
    assert ys == sorted(ys) and ys[0] < ys[-1]  # y grows downwards, the loss falls


def test_bars_are_in_proportion() -> None:
    drawing = ET.fromstring(
        svg.bars("t", [("litert", [("int8", "int8", 0.5), ("float32", "float", 2.0)])], "ms")
    )
    short, long = (float(bar.attrib["width"]) for bar in drawing.findall("rect"))
    assert short / long == pytest.approx(0.25, rel=0.01)


def test_confusion_counts_and_escapes() -> None:
    text = svg.confusion([[5, 1], [0, 4]], ["<b>", "dog"])
    drawing = ET.fromstring(text)
    counts = [e.text for e in drawing.findall("text") if e.attrib["class"].startswith("count")]
    assert sorted(str(c) for c in counts) == ["1", "4", "5"]
    assert "<b>" not in text and "&lt;b&gt; taken for dog: 1 (16.7 %)" in text


def test_nothing_to_draw_says_so() -> None:
    assert "Nothing was trained" in svg.lines("t", [])
    assert "No latency" in svg.bars("t", [], "ms")
    assert "No confusion" in svg.confusion([], [])
