"""Normalisation and resizing before a teacher."""

from __future__ import annotations

import numpy as np
import pytest

from edgedistill.errors import TeacherError
from edgedistill.teachers.preprocess import IMAGENET, Preprocess, parse


def test_names() -> None:
    assert parse("auto", 3, None) == IMAGENET == parse("imagenet", 3, None)
    assert parse("auto", 1, None) == ((0.5,), (0.5,)) == parse("half", 1, None)
    assert parse("unit", 3, None) == ((0.0,) * 3, (1.0,) * 3)
    own = ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert parse("auto", 3, own) == own and parse("half", 3, own) != own
    assert parse("0.1,0.2,0.3/0.4,0.5,0.6", 3, None) == own
    assert parse("0.5/0.25", 3, None) == ((0.5,) * 3, (0.25,) * 3)


@pytest.mark.parametrize(
    ("text", "channels", "said"),
    [
        ("imagenette", 3, "'imagenette' is no normalisation"),
        ("1,2,3", 3, "is no normalisation"),
        ("1,2/3,4", 3, "has 2 means and 2 deviations for 3 channel(s)"),
        ("0,0,0/1,1,0", 3, "a deviation that is not above 0"),
        ("nan/1", 1, "a value that is no number"),
        ("imagenet", 1, "'imagenet' has 3 channels, the teacher takes 1"),
    ],
)
def test_what_cannot_be_meant(text: str, channels: int, said: str) -> None:
    with pytest.raises(TeacherError) as caught:
        parse(text, channels, None)
    assert said in str(caught.value) and "teacher.normalisation" in str(caught.value)


def test_values_and_layout() -> None:
    images = np.array([[[[0, 51, 255], [255, 0, 102]]]], dtype=np.uint8)  # [1,1,2,3]
    out = Preprocess(3, None, (0.5, 0.0, 0.2), (0.5, 1.0, 0.4))(images)
    assert out.dtype == np.float32 and out.shape == (1, 3, 1, 2)
    np.testing.assert_allclose(out[0, :, 0], [[-1, 1], [0.2, 0], [2, 0.5]], atol=1e-6)


def test_resize_keeps_flat_images_and_the_mean_of_halves() -> None:
    flat = np.full((1, 8, 8, 1), 51, dtype=np.uint8)
    np.testing.assert_allclose(Preprocess(1, (12, 12), (0.0,), (1.0,))(flat), 0.2, atol=1e-6)
    halves = np.zeros((1, 8, 8, 1), dtype=np.uint8)
    halves[:, :, 4:] = 255
    small = Preprocess(1, (2, 2), (0.0,), (1.0,))(halves)[0, 0]
    np.testing.assert_allclose(small.mean(axis=1), 0.5, atol=1e-6)
    assert small[0, 0] < 0.2 and small[0, 1] > 0.8
