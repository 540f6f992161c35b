"""Runs a teacher on held-out images and says whether it is fit to teach."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgedistill.data.types import Split
from edgedistill.errors import TeacherError
from edgedistill.teachers.types import Teacher

ECE_BINS = 15  # Guo et al. 2017, section 2 and table 1
_BADLY_CALIBRATED = 0.15  # as the worst image classifiers in Guo et al. 2017, table 1
_POOR = 0.5


@dataclass(frozen=True)
class TeacherReport:
    """Top-1 share and expected calibration error (both 0..1) on ``images`` held-out images.

    ``confidence`` is the mean of the highest probabilities, ``right_by_class`` counts right answers.
    """

    accuracy: float
    ece: float
    images: int
    seconds: float
    warnings: tuple[str, ...] = ()
    confidence: float | None = None
    right_by_class: tuple[int, ...] = ()


def check(teacher: Teacher, split: Split, labels: tuple[str, ...], batch: int) -> TeacherReport:
    """Accuracy, calibration, and what a user should know before hours of training.

    Args:
        teacher: as loaded.
        split: held-out images with their labels.
        labels: names of the classes.
        batch: images at a time.

    Raises:
        TeacherError: NaN or infinity in the outputs, or another number of classes than ``labels`` has.
    """
    started = time.perf_counter()
    parts = []
    for start in range(0, len(split), batch):
        part = teacher.logits(np.asarray(split.images_NHWC[start : start + batch]))
        count = min(batch, len(split) - start)
        if part.shape != (count, len(labels)):
            raise TeacherError(
                f"the teacher answers with shape {list(part.shape)}, expected [{count}, {len(labels)}]: "
                f"the data set has {len(labels)} classes",
                where=f"teacher {teacher.name}",
                fix="use a teacher trained on these classes",
            )
        finite = np.isfinite(part).all(axis=1)
        if not finite.all():
            first = start + int(np.flatnonzero(~finite)[0])
            raise TeacherError(
                f"the teacher answers NaN or infinity for {int((~finite).sum())} of {count} images, "
                f"first for image {first}",
                where=f"teacher {teacher.name}",
                fix="check its weights and the normalisation (teacher.normalisation)",
            )
        parts.append(part)
    assert parts, "a split has images"
    logits = np.concatenate(parts)
    right = logits.argmax(axis=1) == split.labels
    accuracy = float(right.mean())
    error = ece(logits, split.labels)
    warnings = _warnings(logits, split.labels, labels, accuracy, error)
    sure = float(_confidence(logits).mean())
    by_class = tuple(np.bincount(split.labels[right], minlength=len(labels)).tolist())
    return TeacherReport(accuracy, error, len(split), time.perf_counter() - started, warnings, sure, by_class)


def ece(logits: NDArray[np.float32], labels: NDArray[np.int64], bins: int = ECE_BINS) -> float:
    """Expected calibration error: mean distance of confidence from accuracy (Guo et al. 2017, equation 3)."""
    confidence = _confidence(logits)
    right = logits.argmax(axis=1) == labels
    which = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(which, weights=right.astype(np.float64) - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def _confidence(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """The highest probability of each row."""
    exp = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    highest: NDArray[np.float64] = (exp / exp.sum(axis=1, keepdims=True)).max(axis=1)
    return highest


def _warnings(
    logits: NDArray[np.float32],
    truth: NDArray[np.int64],
    labels: tuple[str, ...],
    accuracy: float,
    error: float,
) -> tuple[str, ...]:
    found = []
    chance = 1 / len(labels)
    percent = f"{100 * accuracy:.1f} % of {len(truth)} held-out images"
    if (accuracy < 2 * chance and len(labels) > 2) or accuracy < 1.2 * chance:
        found.append(
            f"the teacher is right on {percent}, about chance ({100 * chance:.1f} %): "
            "its classes may be in another order, or its normalisation another (teacher.normalisation)"
        )
    elif accuracy < _POOR:
        found.append(
            f"the teacher is right on only {percent}: a student rarely becomes better than its teacher"
        )
    if error > _BADLY_CALIBRATED:
        found.append(
            f"the teacher is badly calibrated: its confidence is off by {100 * error:.1f} % on average (ECE)"
        )
    sums = logits.sum(axis=1)
    if float(logits.min()) >= 0 and np.allclose(sums, 1, atol=1e-3):
        found.append("the teacher's outputs look like probabilities, not logits: remove its softmax")
    return tuple(found)
