"""The sizing section shows what was chosen, why, and what it was held against, in valid pictures."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgedistill.record import BuildRecord
from edgedistill.report import pareto, svg
from edgedistill.report.html import render
from edgedistill.sized import Candidate, Finalist, Prediction, Sizing
from edgedistill.units import LIMITS

HOSTILE = "<script>alert(1)</script>"


def candidate(name: str, flash: int, score: float | None, *, misses: tuple[str, ...] = ()) -> Candidate:
    latency = Prediction(
        quantity="latency",
        value=flash / 50_000,
        low=flash / 52_000,
        high=flash / 47_000,
        unit="ms",
        runtime="litert",
        source="a made-up phone, 2026-01-02",
    )
    return Candidate(
        student=name,
        parameters=flash,
        macs=flash * 150,
        arena_bytes=40_960,
        stack_bytes=1_024,
        flash_bytes=flash,
        flash_exact=True,
        predictions=(latency,),
        misses=misses,
        score=score,
    )


SMALL = candidate("mobilenet:width=8", 30_000, 61.0)
CHOSEN = candidate("resnet:width=14", 80_000, 88.0)
NAIVE = candidate("resnet:width=16", 140_000, 91.0, misses=("flash",))


@pytest.fixture
def sizing() -> Sizing:
    return Sizing(
        targets=("pixel-9",),
        budget={"flash": 98_304.0, "ram": 65_536.0, "latency": 2.0, "accuracy": 0.5},
        defaults=("ram",),
        search="quick",
        judged=2000,
        fitting=412,
        seconds=41.0,
        proxy="log-macs + zico",
        front=(SMALL, CHOSEN),
        finalists=(
            Finalist(candidate=CHOSEN, accuracy=0.612, epochs=4, images=5000, seconds=31.0),
            Finalist(candidate=SMALL, accuracy=0.534, epochs=4, images=5000, seconds=29.0),
        ),
        chosen=CHOSEN,
        naive=NAIVE,
        teacher_parameters=855_770,
        teacher_accuracy=0.943,
        binding="flash",
        reason=f"It is the most accurate finalist. {HOSTILE}",
    )


def drawings(page: str) -> list[ET.Element]:
    return [ET.fromstring(text) for text in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def test_the_page_stands_alone_and_its_pictures_are_valid(sizing: Sizing) -> None:
    page = pareto.page(sizing)
    assert not re.search(r"(src|href)\s*=|url\(|@import|https?://", page)
    assert "prefers-color-scheme: dark" in page and HOSTILE not in page and "&lt;script&gt;" in page
    names = [drawing.attrib["aria-label"] for drawing in drawings(page)]
    assert names == [
        f"{quality} against {cost}"
        for quality in ("Accuracy", "Score")
        for cost in ("flash", "RAM", "predicted latency")
    ]


def test_what_is_chosen_what_binds_and_why(sizing: Sizing) -> None:
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", pareto.page(sizing)))
    assert "2,000 candidates were judged for pixel-9 in 41.0 s, of which 412 keep every limit" in text
    assert "flash binds 96.0 KiB 78.1 KiB 81 %" in text
    assert "RAM 64.0 KiB 41.0 KiB 64 % the target" in text
    assert "latency 2.00 ms predicted 1.60 ms (1.54 ms to 1.70 ms) 85 %" in text
    assert "accuracy, at least 50.0 % 61.2 %" in text
    assert "resnet:width=16 the family&#39;s default, misses flash – 91" in text
    assert "the teacher 856 k parameters 94.3 %" in text
    assert "4 epochs of 5,000 images, 30.0 s each" in text and "a made-up phone, 2026-01-02" in text
    assert "It is the most accurate finalist." in text


def test_marks_of_the_pictures(sizing: Sizing) -> None:
    accuracy, *_, score, _, latency = drawings(pareto.page(sizing))
    assert "teacher" in [text.text for text in accuracy.iter("text")]
    words = [text.text for text in score.iter("text")]
    assert {"chosen", "default", "limit"} <= set(words) and "teacher" not in words
    (naive,) = [rect for rect in score.iter("rect") if rect.attrib["class"] == "dot float"]
    (limit,) = [line for line in score.iter("line") if line.attrib["class"] == "level"]
    assert float(naive.attrib["x"]) > float(limit.attrib["x1"])  # it is beyond
    bands = [line for line in latency.iter("line") if "thin" in line.attrib["class"]]
    assert len(bands) == 3 and all(float(b.attrib["x1"]) < float(b.attrib["x2"]) for b in bands)


def test_a_build_without_sizing_says_nothing_of_it(record: BuildRecord, sizing: Sizing) -> None:
    assert "How the student was chosen" not in render(record)
    page = render(record.model_copy(update={"sizing": sizing}))
    assert "How the student was chosen" in page and drawings(page)


def test_a_search_without_training_has_scores_alone(sizing: Sizing) -> None:
    bare = sizing.model_copy(
        update={"finalists": (), "naive": None, "teacher_accuracy": None, "teacher_parameters": None}
    )
    page = pareto.page(bare)
    assert len(drawings(page)) == 3 and "short distillation" not in page
    assert [row.network for row in pareto.rows(bare)] == ["resnet:width=14"]


def test_without_a_model_of_latency_macs_stand_in(sizing: Sizing) -> None:
    plain = {"predictions": ()}
    bare = sizing.model_copy(
        update={"chosen": CHOSEN.model_copy(update=plain), "budget": {"latency": 2.0}, "front": ()}
    )
    assert list(pareto.shown(bare)) == ["flash", "ram", "macs"]
    (limit,) = pareto.limits(bare)
    assert (limit.taken, limit.share) == ("–", None)


def test_every_limit_has_an_axis_and_weights_are_shown_where_they_are_limited(sizing: Sizing) -> None:
    assert set(LIMITS) - {"accuracy"} <= set(pareto.AXES)
    limited = sizing.model_copy(update={"budget": {"weights": 98_304.0}, "binding": "weights"})
    assert list(pareto.shown(limited)) == ["flash", "ram", "weights", "latency"]
    (limit,) = pareto.limits(limited)
    assert (limit.name, limit.allowed, limit.binds) == ("weights", "96.0 KiB", True)


@given(
    st.lists(st.tuples(st.floats(1e-3, 1e9), st.floats(0, 1), st.floats(1, 1.5)), min_size=1, max_size=12),
    st.floats(1e-3, 1e9) | st.none(),
)
@example([(1.0, 5e-324, 1.0)], None)
def test_every_dot_lies_in_the_frame(points: list[tuple[float, float, float]], limit: float | None) -> None:
    dots = [
        svg.Dot(f"<{i}>", "int8", x, y, x / wide, x * wide, square=i % 2 == 1)
        for i, (x, y, wide) in enumerate(points)
    ]
    drawing = ET.fromstring(svg.scatter("a & b", dots, "ms", percent=True, limit=limit, stairs=dots))
    for mark in drawing.iter("circle"):
        assert svg.LEFT - 0.1 <= float(mark.attrib["cx"]) <= svg.WIDTH - svg.RIGHT + 0.1
        assert svg.TOP - 0.1 <= float(mark.attrib["cy"]) <= svg.HEIGHT - svg.BOTTOM + 0.1
    for line in drawing.iter("line"):
        assert float(line.attrib["x1"]) <= float(line.attrib["x2"])


def test_the_line_of_the_best_only_rises() -> None:
    dots = [
        svg.Dot(str(i), "int8", x, y) for i, (x, y) in enumerate([(3, 0.5), (1, 0.4), (2, 0.3), (4, 0.7)])
    ]
    drawing = ET.fromstring(svg.scatter("front", dots, "ms", percent=True, stairs=dots))
    line = drawing.find("polyline")
    assert line is not None
    heights = [float(point.split(",")[1]) for point in line.attrib["points"].split()]
    assert len(heights) == 5 and heights == sorted(heights, reverse=True)  # 1, corner, 3, corner, 4
