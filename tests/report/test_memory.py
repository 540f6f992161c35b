"""The picture of the memory plan: blocks at their bytes and steps, names escaped."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from edgedistill.ir.plan import Placement
from edgedistill.report import memory

PLAN = (Placement("<x>", 0, 60, 0, 1), Placement("y", 60, 40, 1, 3), Placement("y_flat", 60, 40, 1, 3))


def test_blocks_are_in_proportion() -> None:
    drawing = ET.fromstring(memory.picture(PLAN, 100, 90))
    x, y = drawing.findall("rect")  # the flattened y shares the block of y
    assert float(x.attrib["height"]) / float(y.attrib["height"]) == pytest.approx(60 / 40, rel=0.01)
    assert float(y.attrib["width"]) / float(x.attrib["width"]) == pytest.approx(3 / 2, rel=0.01)
    assert float(y.attrib["y"]) + float(y.attrib["height"]) == pytest.approx(float(x.attrib["y"]), abs=0.2)
    assert [e.text for e in drawing.iter("title")] == [
        "<x>: 60 bytes at 0, steps 0 to 1",
        "y, y_flat: 40 bytes at 60, steps 1 to 3",
    ]
    assert drawing.attrib["role"] == "img" and "100 bytes over 4 steps" in drawing.attrib["aria-label"]


def test_the_lower_bound_is_below_the_top() -> None:
    drawing = ET.fromstring(memory.picture(PLAN, 100, 90))
    level = next(e for e in drawing.findall("line") if e.attrib["class"] == "level")
    top = float(drawing.findall("rect")[1].attrib["y"])
    assert float(level.attrib["y1"]) > top


def test_nothing_to_draw_says_so() -> None:
    assert "No memory plan" in memory.picture((), 0, 0)
