"""The surest wrong answers, as pictures."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from edgedistill.record import BuildRecord
from edgedistill.report import mistakes
from edgedistill.report.html import render

HOSTILE = '<img src=x onerror="alert(1)">'


def test_the_surest_mistake_comes_first() -> None:
    answers = np.array([[10, 0, 0], [9, 0, 0], [0, 4, 0], [0, 0, 30]], np.int8)
    labels = np.array([0, 1, 0, 1])
    images = np.arange(4 * 5 * 7 * 3, dtype=np.uint8).reshape(4, 5, 7, 3)
    found = mistakes.worst(answers, 0.1, images, labels, ("a", "b", HOSTILE))
    assert [(m.index, m.truth, m.answer) for m in found] == [(3, "b", HOSTILE), (1, "b", "a"), (2, "a", "b")]
    assert found[0].sure == pytest.approx(1 / (1 + 2 * np.exp(-3.0)))
    picture = Image.open(io.BytesIO(base64.b64decode(found[0].uri.partition(",")[2])))
    np.testing.assert_array_equal(np.asarray(picture), images[3])


def test_features_are_grey_and_large_pictures_are_made_smaller() -> None:
    answers = np.array([[0, 1]] * 30, np.int8)
    images = np.zeros((30, 400, 300, 1), np.uint8)
    found = mistakes.worst(answers, 1.0, images, np.zeros(30, np.int64), ("a", "b"))
    assert len(found) == mistakes.MOST
    picture = Image.open(io.BytesIO(base64.b64decode(found[0].uri.partition(",")[2])))
    assert picture.mode == "L" and picture.size == (96, 128)
    assert mistakes.worst(answers, 1.0, images, np.ones(30, np.int64), ("a", "b")) == ()


def test_names_are_text_on_the_page(record: BuildRecord) -> None:
    one = mistakes.Mistake(3, "data:image/png;base64,AA==", HOSTILE, "b", 0.987)
    page = render(record, mistakes=(one,))
    assert HOSTILE not in page and "&lt;img src=x" in page and "99 %" in page
    assert "The worst mistakes" not in render(record)
