"""Makes small folders of synthesised clips for tests."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000


def tone(hz: float, seed: int, samples: int = RATE_HZ, rate: int = RATE_HZ) -> NDArray[np.int16]:
    """A noisy tone with a swell in the middle."""
    rng = np.random.default_rng(seed)
    t = np.arange(samples) / rate
    swell = np.exp(-(((t - 0.5 + rng.uniform(-0.1, 0.1)) / 0.2) ** 2))
    sound = rng.uniform(3_000, 9_000) * swell * np.sin(2 * np.pi * hz * t) + rng.normal(0, 60, samples)
    return np.rint(sound).clip(-32768, 32767).astype(np.int16)


def write_wav(
    path: Path, samples: NDArray[np.int16], rate: int = RATE_HZ, channels: int = 1, width: int = 2
) -> None:
    """A PCM wav; ``samples`` are taken as interleaved where there are several channels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


def class_folders(root: Path, speakers: int = 24, each: int = 1) -> Path:
    """low/ and high/ with tones of many speakers, and _silence_/ with noise."""
    for s in range(speakers):
        for i in range(each):
            for name, hz in (("low", 300), ("high", 2_500)):
                path = root / name / f"sp{s:03}_nohash_{i}.wav"
                write_wav(path, tone(hz * (1 + s / 200), 100 * s + i))
            noise = np.random.default_rng(5_000 + 100 * s + i).normal(0, 80, RATE_HZ)
            write_wav(root / "_silence_" / f"{s}-{i}.wav", np.rint(noise).astype(np.int16))
    return root
