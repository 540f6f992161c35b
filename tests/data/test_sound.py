"""Variations of sound: what each does, to what, and the same again from the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from edgedistill.data import frontend, sound
from edgedistill.data.augment import AUGMENTATIONS
from edgedistill.data.types import Split
from edgedistill.errors import UnknownNameError
from tests.sounds import tone

WAVES = np.stack([tone(hz, i) for i, hz in enumerate((300, 700, 1_500, 3_000))])
NOISE = np.rint(np.random.default_rng(9).normal(0, 300, size=(60, frontend.SAMPLES))).astype(np.int16)


def vary(name: str, seed: int = 0, waves: np.ndarray = WAVES, noise: np.ndarray | None = NOISE) -> np.ndarray:
    part = noise[: len(waves)] if noise is not None else None
    return sound.VARIATIONS[name](waves, part, np.random.default_rng(seed))


@pytest.mark.parametrize("name", sorted(sound.VARIATIONS))
def test_shape_type_and_determinism(name: str) -> None:
    before = WAVES.copy()
    one, two, other = vary(name), vary(name), vary(name, seed=1)
    assert one.shape == WAVES.shape and one.dtype == np.int16
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()
    np.testing.assert_array_equal(WAVES, before)


def test_time_shift_moves_and_lets_silence_in() -> None:
    ramp = np.arange(1, frontend.SAMPLES + 1, dtype=np.int16)[None].repeat(50, axis=0)
    moves = []
    for row in vary("time-shift", waves=ramp):
        inside = np.flatnonzero(row)
        moves.append(int(row[inside[0]]) - 1 - int(inside[0]))
        np.testing.assert_array_equal(np.diff(row[inside]), 1)
        assert frontend.SAMPLES - len(inside) == abs(moves[-1]) <= sound.SHIFT
    assert min(moves) < -500 and max(moves) > 500


def test_speed_changes_the_pitch_by_15_percent_at_most() -> None:
    steady = np.rint(8_000 * np.sin(2 * np.pi * 1_000 * np.arange(frontend.SAMPLES) / 16_000)).astype(
        np.int16
    )
    played = vary("speed", waves=steady[None].repeat(20, axis=0))
    window = np.hanning(8_000)
    peaks = np.abs(np.fft.rfft(played[:, 4_000:12_000] * window)).argmax(axis=1) * 2
    assert 845 <= peaks.min() < 950 and 1_050 < peaks.max() <= 1_155


def test_noise_keeps_its_distance_and_spares_some() -> None:
    steady = (
        np.rint(8_000 * np.sin(np.arange(frontend.SAMPLES) / 3)).astype(np.int16)[None].repeat(60, axis=0)
    )
    for noise in (NOISE, None):
        added = vary("noise", waves=steady, noise=noise).astype(float) - steady
        rms = np.sqrt((added**2).mean(axis=1))
        ratio_db = 20 * np.log10(8_000 / np.sqrt(2) / rms[rms > 0])
        assert -0.5 < ratio_db.min() < 6 and 18 < ratio_db.max() < 24.5
        assert 0.05 < (rms == 0).mean() < 0.4


def test_pink_noise_falls_by_3_db_an_octave() -> None:
    power = np.abs(np.fft.rfft(sound._pink(20, 16_000, np.random.default_rng(0)))) ** 2
    low, high = power[:, 100:200].mean(), power[:, 1_600:3_200].mean()
    assert 14 < low / high < 18.3


def test_gain_keeps_the_shape() -> None:
    louder = vary("gain").astype(float)
    for before, after in zip(WAVES, louder, strict=True):
        assert np.corrcoef(before, after)[0, 1] > 0.999
        assert 10 ** (-9.2 / 20) < np.abs(after).max() / np.abs(before.astype(float)).max() < 10 ** (9.2 / 20)


def test_spec_augment_hides_stripes_and_keeps_the_rest() -> None:
    batch = frontend.features(WAVES)
    hidden = AUGMENTATIONS["spec-augment"](batch, np.random.default_rng(3))
    changed = hidden != batch
    assert 0.02 < changed.mean() < 0.6
    for row, was, now in zip(changed, batch, hidden, strict=True):
        assert set(now[row].tolist()) <= {round(float(was.mean()))}


def test_a_split_of_sound_varies_the_sound() -> None:
    split = Split(frontend.features(WAVES), np.arange(4), WAVES, np.array([3]))
    rows = np.array([0, 2])
    rng = np.random.default_rng
    plain = split.augmented(rows, (), rng(0))
    np.testing.assert_array_equal(plain, split.images_NHWC[rows])
    shifted = split.augmented(rows, ("time-shift",), rng(0))
    np.testing.assert_array_equal(shifted, frontend.features(vary("time-shift", waves=WAVES[rows])))
    both = split.augmented(slice(0, 2), ("spec-augment", "noise"), rng(0))
    assert both.shape == (2, 49, 40, 1) and both.dtype == np.uint8
    with pytest.raises(UnknownNameError, match="did you mean noise"):
        split.augmented(rows, ("noyse",), rng(0))


def test_a_split_of_images_has_no_sound_to_vary() -> None:
    images = np.zeros((2, 8, 8, 1), np.uint8)
    with pytest.raises(UnknownNameError, match="no augmentation named 'time-shift'"):
        Split(images, np.arange(2)).augmented(slice(0, 2), ("time-shift",), np.random.default_rng(0))
