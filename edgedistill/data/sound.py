"""Random variations of training clips: of the sound before the front end, and of its features behind it."""

# Shapes: waves [N,S] int16 of one second; batch [N,T,M,1] uint8, features of T frames and M mel bands.

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgedistill.data import augment as images
from edgedistill.data import frontend
from edgedistill.errors import UnknownNameError

Waves = NDArray[np.int16]
Variation = Callable[[Waves, Waves | None, np.random.Generator], Waves]

SHIFT = 1_600  # samples, 100 ms, as Zhang et al. 2017, section 5.1
NOISY = 0.8  # share of clips with noise, ibid.
SNR_DB = (0.0, 24.0)
GAIN_DB = 9.0
SPEED = 0.15
_SILENT_RMS = 30.0  # what a clip without a voice counts as, in units of a sample


def augment(
    waves: Waves,
    features: NDArray[np.uint8],
    noise: Waves | None,
    names: Sequence[str],
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Varies the sound, computes its features, and varies these, each in the order of the names.

    Args:
        waves: the clips.
        features: of the unvaried clips; taken where no name varies the sound.
        noise: a clip of background noise for each of them; None: pink noise is made.
        names: rows of VARIATIONS or of data.augment.AUGMENTATIONS.
        rng: decides everything random.

    Raises:
        UnknownNameError: a name that is in neither table.
    """
    for name in names:
        if name not in VARIATIONS and name not in images.AUGMENTATIONS:
            known = (*VARIATIONS, *images.AUGMENTATIONS)
            raise UnknownNameError("augmentation", name, known, where="data.augment")
    of_sound = [VARIATIONS[name] for name in names if name in VARIATIONS]
    for vary in of_sound:
        waves = vary(waves, noise, rng)
    batch = frontend.features(waves) if of_sound else features
    return images.augment(batch, [name for name in names if name not in VARIATIONS], rng)


def time_shift(waves: Waves, noise: Waves | None, rng: np.random.Generator) -> Waves:
    """Moves by up to 100 ms, silence coming in."""
    count, samples = waves.shape
    padded = np.pad(waves, ((0, 0), (SHIFT, SHIFT)))
    starts = rng.integers(2 * SHIFT + 1, size=count)
    windows = np.lib.stride_tricks.sliding_window_view(padded, samples, axis=1)
    return np.asarray(windows[np.arange(count), starts], dtype=np.int16)


def speed(waves: Waves, noise: Waves | None, rng: np.random.Generator) -> Waves:
    """Plays up to 15 % slower or faster about the middle, pitch and all (Ko et al. 2015, section 2)."""
    count, samples = waves.shape
    rate = rng.uniform(1 - SPEED, 1 + SPEED, size=(count, 1)).astype(np.float32)
    middle = np.float32((samples - 1) / 2)
    source = (np.arange(samples, dtype=np.float32)[None] - middle) * rate + middle  # [N,S]
    inside = (source >= 0) & (source < samples - 1)
    whole = np.floor(source.clip(0, samples - 2))
    part = source - whole
    left = whole.astype(np.intp) + np.arange(count)[:, None] * samples
    flat = waves.ravel()
    before = flat.take(left).astype(np.float32)
    left += 1
    return _whole((before + (flat.take(left) - before) * part) * inside)


def add_noise(waves: Waves, noise: Waves | None, rng: np.random.Generator) -> Waves:
    """Adds background noise, turned by a random time, at 0 to 24 dB below the clip, to 80 % of clips."""
    count, samples = waves.shape
    if noise is None:
        added = _pink(count, samples, rng)
    else:
        twice = np.concatenate([noise, noise], axis=1)
        windows = np.lib.stride_tricks.sliding_window_view(twice, samples, axis=1)
        added = windows[np.arange(count), rng.integers(samples, size=count)].astype(np.float32)
    snr_db = rng.uniform(*SNR_DB, size=(count, 1))
    chosen = rng.random((count, 1)) < NOISY
    level = np.maximum(_rms(waves), _SILENT_RMS) / np.maximum(_rms(added), 1.0) * 10 ** (-snr_db / 20)
    return _whole(waves.astype(np.float32) + added * np.where(chosen, level, 0).astype(np.float32))


def gain(waves: Waves, noise: Waves | None, rng: np.random.Generator) -> Waves:
    """Makes it up to 9 dB louder or quieter."""
    factor = 10 ** (rng.uniform(-GAIN_DB, GAIN_DB, size=(len(waves), 1)) / 20)
    return _whole(waves.astype(np.float32) * factor.astype(np.float32))


def _pink(count: int, samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise whose power falls as 1/f, of RMS 1000."""
    spectrum = np.fft.rfft(rng.standard_normal((count, samples)).astype(np.float32), axis=1)
    spectrum[:, 1:] /= np.sqrt(np.arange(1, spectrum.shape[1]))
    spectrum[:, 0] = 0
    made = np.fft.irfft(spectrum, samples, axis=1)
    return np.asarray(made * (1_000 / _rms(made)), dtype=np.float32)


def _rms(waves: NDArray[np.generic]) -> NDArray[np.float64]:
    """[N,S] -> [N,1]."""
    return np.asarray(np.sqrt(np.square(waves, dtype=np.float64).mean(axis=1, keepdims=True)))


def _whole(waves: NDArray[np.float32]) -> Waves:
    return np.asarray(np.rint(waves).clip(-32768, 32767), dtype=np.int16)


VARIATIONS: Mapping[str, Variation] = {
    "time-shift": time_shift,
    "speed": speed,
    "noise": add_noise,
    "gain": gain,
}
