"""Builds that also learn from images without labels."""

from pathlib import Path

import numpy as np
import pytest

from edgedistill.build import build
from edgedistill.errors import InputError
from tests.test_succession import tiny


@pytest.fixture
def noise(tmp_path: Path) -> str:
    """64 images of no class."""
    images = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 1)).astype(np.uint8)
    np.savez(tmp_path / "noise.npz", x=images)
    return str(tmp_path / "noise.npz")


def test_a_loss_that_needs_labels_is_named_before_training(tmp_path: Path, noise: str) -> None:
    with pytest.raises(
        InputError, match=r"(?s)'hinton' needs labels, and 64 of 2\d\d .*soft-targets"
    ) as caught:
        build(tiny(**{"data.unlabelled": noise}), tmp_path / "out")
    assert caught.value.exit_code == 2


def test_the_teacher_answers_for_what_has_no_label(tmp_path: Path, noise: str) -> None:
    record = build(
        tiny(**{"data.unlabelled": noise, "distill.alpha": 1.0, "distill.mixup": 1.0, "quantise.epochs": 1}),
        tmp_path / "out",
    )["android-arm64"]
    assert record.accuracy.student_train is not None and record.accuracy.student_train > 0  # of labelled ones
    assert all(np.isfinite(log.loss) for log in record.epochs)
