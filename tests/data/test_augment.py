"""Augmentations: what each may change and what it must leave alone."""

from __future__ import annotations

import numpy as np
import pytest

from edgedistill.data.augment import AUGMENTATIONS, augment
from edgedistill.errors import UnknownNameError


def batch(count: int = 64, height: int = 16, width: int = 24, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_shape_type_and_seed(name: str) -> None:
    before = batch()
    kept = before.copy()
    one = augment(before, [name], np.random.default_rng(3))
    assert one.shape == before.shape and one.dtype == np.uint8
    np.testing.assert_array_equal(before, kept)
    np.testing.assert_array_equal(one, augment(before, [name], np.random.default_rng(3)))
    assert (one != augment(before, [name], np.random.default_rng(4))).any()
    assert (one != before).any()


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_smallest_images(name: str) -> None:
    assert augment(batch(3, 4, 4, 1), [name], np.random.default_rng(0)).shape == (3, 4, 4, 1)


def test_flip_mirrors_or_keeps() -> None:
    before = batch()
    after = augment(before, ["flip"], np.random.default_rng(0))
    same = (after == before).all(axis=(1, 2, 3))
    mirrored = (after == before[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all() and 16 < same.sum() < 48


def test_translate_repeats_the_border_and_never_wraps() -> None:
    before = np.zeros((200, 16, 16, 1), dtype=np.uint8)
    before[:, :, 0] = 255  # wrapped around, the left border would show up on the right
    after = augment(before, ["translate"], np.random.default_rng(0))
    assert (after[:, :, 8:] == 0).all()
    widths = set((after[:, 0, :, 0] == 255).sum(axis=1).tolist())
    assert widths == {0, 1, 2, 3}  # moved out by one or two, in place, moved in by one or two


def test_pad_crop_moves_by_an_eighth_and_mirrors() -> None:
    before = np.tile(np.arange(16, dtype=np.uint8)[None, None, :, None], (200, 16, 1, 1))
    after = augment(before, ["pad-crop"], np.random.default_rng(0))
    first_rows = {tuple(row) for row in after[:, 0, :5, 0].tolist()}
    assert first_rows == {(2, 1, 0, 1, 2), (1, 0, 1, 2, 3), (0, 1, 2, 3, 4), (1, 2, 3, 4, 5), (2, 3, 4, 5, 6)}


def test_cutout_greys_at_most_half_the_side() -> None:
    before = np.zeros((100, 32, 32, 3), dtype=np.uint8)
    after = augment(before, ["cutout"], np.random.default_rng(0))
    holes = (after == 128).all(axis=3)
    assert set(np.unique(after)) == {0, 128}
    assert holes.any(axis=1).sum(axis=1).max() in (15, 16) and holes.any(axis=(1, 2)).all()


def test_brightness_contrast_stays_in_its_range() -> None:
    after = augment(np.full((500, 4, 4, 1), 128, np.uint8), ["brightness-contrast"], np.random.default_rng(0))
    assert after.min() >= 103 and after.max() <= 153 and len(np.unique(after)) > 20


def test_rotate_keeps_flat_images_and_the_centre() -> None:
    flat = np.full((10, 9, 9, 1), 77, dtype=np.uint8)
    np.testing.assert_array_equal(augment(flat, ["rotate-small"], np.random.default_rng(0)), flat)
    before = batch(20, 9, 9, 1)
    after = augment(before, ["rotate-small"], np.random.default_rng(0))
    np.testing.assert_array_equal(after[:, 4, 4], before[:, 4, 4])


def test_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean cutout"):
        augment(batch(), ["flip", "cut-out"], np.random.default_rng(0))
