"""The check of a teacher before training."""

from __future__ import annotations

import numpy as np
import pytest

from edgedistill.data.types import Split
from edgedistill.errors import TeacherError
from edgedistill.teachers.check import check, ece
from edgedistill.teachers.types import Teacher

LABELS = tuple("abcdefghij")


def split(count: int = 1000) -> Split:
    truth = np.arange(count, dtype=np.int64) % 10
    return Split(np.repeat(truth.astype(np.uint8), 16).reshape(count, 4, 4, 1), truth)


def answering(share_right: float, scale: float = 10.0, shift: int = 1) -> Teacher:
    """Right for the first ``share_right`` of each hundred images, ``shift`` classes off for the others."""

    def logits(images_NHWC: np.ndarray) -> np.ndarray:
        truth = images_NHWC[:, 0, 0, 0].astype(np.int64)
        wrong = np.arange(len(truth)) % 100 >= 100 * share_right
        return (np.eye(10, dtype=np.float32) * np.float32(scale))[(truth + shift * wrong) % 10]

    return Teacher("t", logits, "0")


def test_accuracy_of_a_good_teacher() -> None:
    report = check(answering(0.97), split(), LABELS, 100)
    assert report.accuracy == pytest.approx(0.97) and report.images == 1000
    assert report.ece == pytest.approx(0.03, abs=0.001) and report.warnings == () and report.seconds >= 0


def test_ece_by_hand() -> None:
    confidence = np.array([0.9, 0.9, 0.6, 0.6])
    logits = np.log(np.stack([confidence, 1 - confidence], axis=1)).astype(np.float32)
    # the bin at 0.9 is right once in two, the one at 0.6 always: (2 * 0.4 + 2 * 0.4) / 4
    assert ece(logits, np.array([0, 1, 0, 0])) == pytest.approx(0.4, abs=1e-6)


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.4, "right on only 40.0 % of 1000"), (0.1, "right on 10.0 % of 1000 held-out images, about chance")],
)
def test_poor_teachers_are_warned_of(share: float, said: str) -> None:
    assert said in check(answering(share), split(), LABELS, 100).warnings[0]


def test_bad_calibration_and_probabilities_are_warned_of() -> None:
    assert "confidence is off by 40" in check(answering(0.6), split(), LABELS, 100).warnings[0]
    assert any("remove its softmax" in w for w in check(answering(1.0, 1.0), split(), LABELS, 100).warnings)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity(value: float) -> None:
    def logits(images_NHWC: np.ndarray) -> np.ndarray:
        out = np.zeros((len(images_NHWC), 10), dtype=np.float32)
        out[images_NHWC[:, 0, 0, 0] == 7, 3] = value
        return out

    with pytest.raises(TeacherError, match=r"NaN or infinity for 10 of 100 images, first for image 7"):
        check(Teacher("t", logits, "0"), split(), LABELS, 100)


def test_another_number_of_classes() -> None:
    with pytest.raises(TeacherError) as caught:
        check(answering(1.0), split(), LABELS[:7], 100)
    assert "shape [100, 10], expected [100, 7]" in str(caught.value) and "7 classes" in str(caught.value)
