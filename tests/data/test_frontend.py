"""The front end: near a floating-point log-mel, exact where it says so, the same constants everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgedistill.data import frontend as fe


def floating(waveforms_NS: NDArray[np.int16]) -> NDArray[np.float64]:
    """The same features without rounding, [N, T, M]."""
    frames = np.lib.stride_tricks.sliding_window_view(waveforms_NS, fe.WINDOW, axis=1)[:, :: fe.HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(fe.WINDOW) / fe.WINDOW)
    power = np.abs(np.fft.rfft(frames * hann, fe.FFT)) ** 2
    hz = np.arange(fe.FFT // 2 + 1) * fe.RATE_HZ / fe.FFT
    mel = np.linspace(*(2595 * np.log10(1 + np.array([fe.LOW_HZ, fe.HIGH_HZ]) / 700)), fe.BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    up = (hz[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - hz[None]) / (edges[2:] - edges[1:-1])[:, None]
    energy = power @ np.maximum(np.minimum(up, down), 0).T
    return 8 * (np.log2(np.maximum(energy, 1)) - fe.FLOOR_OCTAVES)


def noise(seed: int, count: int, rms: float) -> NDArray[np.int16]:
    samples = np.random.default_rng(seed).normal(0, rms, size=(count, fe.SAMPLES))
    return np.rint(samples).clip(-32768, 32767).astype(np.int16)


@pytest.mark.parametrize("rms", [3.0, 30.0, 1_000.0, 30_000.0])
def test_it_is_a_log_mel_spectrogram(rms: float) -> None:
    waves = noise(1, 2, rms)
    got, expected = fe.features(waves)[..., 0], floating(waves).clip(0, 255)
    assert got.shape == (2, 49, 40)
    assert np.abs(got - expected).max() < (0.6 if rms > 10 else 1.5)  # half a level is the output's rounding


def test_a_tone_lights_its_band() -> None:
    for hz in (250.0, 1_000.0, 4_000.0):
        wave = np.rint(10_000 * np.sin(2 * np.pi * hz * np.arange(fe.SAMPLES) / fe.RATE_HZ)).astype(np.int16)
        mel = np.linspace(*(2595 * np.log10(1 + np.array([fe.LOW_HZ, fe.HIGH_HZ]) / 700)), fe.BANDS + 2)[1:-1]
        nearest = int(np.abs(700 * (10 ** (mel / 2595) - 1) - hz).argmin())
        assert set(fe.features(wave[None])[0, :, :, 0].argmax(axis=1).tolist()) == {nearest}


def test_silence_and_the_loudest_sound_stay_in_range() -> None:
    square = np.where(np.arange(fe.SAMPLES) // 8 % 2, 32767, -32768).astype(np.int16)
    constant = np.full(fe.SAMPLES, -32768, np.int16)
    quiet, loud, steady = fe.features(np.stack([np.zeros(fe.SAMPLES, np.int16), square, constant]))
    assert quiet.max() == 0
    assert loud.max() == 255
    assert steady[:, 30:].max() < 64  # a constant leaks into the lowest bands alone


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 20_000), st.integers(1, 9))
def test_every_clip_is_computed_alone(seed: int, rms: float, count: int) -> None:
    waves = noise(seed, count, rms)
    together = fe.features(waves)
    np.testing.assert_array_equal(together[-1:], fe.features(waves[-1:]))


def test_levels_are_the_logarithm_and_monotone() -> None:
    energy = np.unique(np.rint(2 ** np.linspace(0, 46, 4_000)).astype(np.int64))
    levels = fe.feature_levels(energy).astype(np.int64)
    assert (np.diff(levels) >= 0).all()
    exact = (8 * (np.log2(energy) - fe.FLOOR_OCTAVES)).clip(0, 255)
    assert np.abs(levels - exact).max() < 0.55


def test_the_constants_are_the_same_on_every_machine() -> None:
    assert fe.tables().sha256[:16] == "fc137aa14dd81975"
    assert fe.tables().sha256[:16] in fe.describe()
