"""Builds side by side: which leads, what differs, what makes the figures misleading."""

from __future__ import annotations

import re

from edgedistill.record import BuildRecord
from edgedistill.report import compare

HOSTILE = '<script>alert("x")</script>'


def _other(record: BuildRecord) -> BuildRecord:
    return record.model_copy(
        update={
            "accuracy": record.accuracy.model_copy(update={"student_int8": 0.94}),
            "graph": record.graph.model_copy(update={"weight_bytes": 99_000}),
            "recipe": {**record.recipe, "seed": 1},
            "measurements": (*record.measurements[:1],),
        }
    )


def test_the_better_build_is_marked(record: BuildRecord) -> None:
    found = compare.compared({"first": record, "second": _other(record)})
    rows = {row.label: row for rows in found.groups.values() for row in rows}
    assert rows["Student, int8"].words == ("93.05 %", "94.00 %") and rows["Student, int8"].best == (1,)
    assert rows["Weights"].best == (0,) and rows["Teacher"].best == ()
    assert rows["Student, float32"].best == ()  # equal
    only_first = rows["Latency, onnxruntime 1.32.0, measured"]
    assert only_first.words == ("0.555 ms", compare.UNKNOWN) and only_first.best == ()
    assert rows["Runtimes with the interpreter's bits"].words == ("2 of 3", "2 of 3")
    assert not any("energy" in label.lower() for label in rows)  # nowhere measured
    assert found.recipes == (("seed", ("0", "1")),) and found.remarks == ()


def test_misleading_figures_are_told(record: BuildRecord) -> None:
    other = record.model_copy(
        update={
            "labels": ("a", "b"),
            "machine": "another",
            "accuracy": record.accuracy.model_copy(update={"test_images": 5}),
        }
    )
    told = " ".join(compare.compared({"a": record, "b": other}).remarks)
    assert "different classes" in told and "different examples" in told and "different machines" in told


def test_the_page_is_text_alone(record: BuildRecord) -> None:
    page = compare.page(compare.compared({"first": record, HOSTILE: _other(record)}))
    assert HOSTILE not in page and "&lt;script&gt;" in page
    assert "http://" not in page and "https://" not in page and "<script" not in page
    assert re.search(r'<b class="won">94.00 %</b>', page)
