"""Reads a folder of class folders of sound files, and decodes each to one second of samples at 16 kHz."""

from __future__ import annotations

import hashlib
import io
import math
import wave
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.data import folder
from edgedistill.data.frontend import RATE_HZ, SAMPLES
from edgedistill.data.source import Item, Pool, Source
from edgedistill.errors import DataError, UnknownNameError

SUFFIXES = (".wav", ".flac")
MAX_BYTES = 64 * 2**20  # a larger file is taken for broken: six minutes of 16-bit stereo at 44.1 kHz
_RATES_HZ = (4_000, 192_000)


@dataclass(frozen=True)
class GroupRule:
    """How a file's group is found: clips of one group, such as a speaker's, stay in one split."""

    purpose: str
    of: Callable[[Path], str]  # of the path below the class folder's parent: yes/0ab1_nohash_0.wav


def _nohash(path: Path) -> str:
    name, marker, _ = path.name.partition("_nohash_")
    return name.rpartition("_")[2] if marker else path.as_posix()


GROUPS: Mapping[str, GroupRule] = {
    "nohash": GroupRule(
        "the name's part before _nohash_, as in Speech Commands, else every file by itself", _nohash
    ),
    "prefix": GroupRule(
        "the name's part before the first - or _, as in LibriSpeech",
        lambda path: path.stem.replace("_", "-").partition("-")[0],
    ),
    "folder": GroupRule(
        "the folder inside the class folder, as in yes/anna/1.wav", lambda path: path.parent.name
    ),
    "file": GroupRule("every file by itself", lambda path: path.as_posix()),
}
DEFAULT_GROUP = "nohash"


@dataclass(frozen=True, eq=False)
class Clip:
    """A decoded file: int16 [16000], a hash of these, and what was done to get them."""

    name: str
    samples: NDArray[np.int16]
    digest: bytes
    mixed: bool = False
    resampled: bool = False
    cut: bool = False


def holds_sound(root: Path) -> bool:
    """Whether the first file of a known kind below the class folders is sound and not an image."""
    known = (*SUFFIXES, *folder.SUFFIXES)
    for class_folder in folder.class_folders(root):
        for path in sorted(class_folder.rglob("*")):
            if path.suffix.lower() in known and not path.name.startswith("."):
                return path.suffix.lower() in SUFFIXES
    return False


def read(root: Path, group: str | None = None) -> Source:
    """Clips with their groups.

    Raises:
        UnknownNameError: a rule for groups that is in no row of GROUPS.
        DataError: no class folders or no clips, or FLAC without the library that reads it.
    """
    rule = group or DEFAULT_GROUP
    if rule not in GROUPS:
        raise UnknownNameError("rule for groups", rule, GROUPS, where="data.group")
    source = folder.read(root, SUFFIXES, "clip")
    return replace(
        source,
        train=_grouped(source.train, rule),
        validation=_grouped(source.validation, rule) if source.validation is not None else None,
        test=_grouped(source.test, rule) if source.test is not None else None,
        sound=True,
    )


def _grouped(pool: Pool, rule: str) -> Pool:
    names = [Path(name) for name, _ in pool.items()]
    if any(name.suffix.lower() == ".flac" for name in names):
        _soundfile("FLAC files")
    return replace(pool, groups=tuple(GROUPS[rule].of(name) for name in names))


def decode(item: Item) -> Clip | str:
    """The clip, or "name: problem" where the file is broken.

    Raises:
        DataError: it needs a library that is not installed.
    """
    name, path = item
    assert isinstance(path, Path), "clips come from files"
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES >> 20} MiB")
        content = path.read_bytes()
        if not content:
            raise ValueError("empty file")
        plain = _wav(content) if path.suffix.lower() == ".wav" else None
        samples, rate = plain if plain is not None else _by_soundfile(content)
        if not len(samples):
            raise ValueError("it holds no samples")
        if not _RATES_HZ[0] <= rate <= _RATES_HZ[1]:
            raise ValueError(f"a sample rate of {rate} Hz, not {_RATES_HZ[0]} to {_RATES_HZ[1]}")
    except (ValueError, OSError, EOFError) as cause:
        return f"{name}: {str(cause) or 'the file ends in its header'}"
    cut, mixed = len(samples) > rate, samples.shape[1] > 1
    mono = _middle(samples, rate).mean(axis=1) if mixed else _middle(samples, rate)[:, 0].astype(np.float64)
    if rate != RATE_HZ:
        mono = _resampled(mono, rate)
    second = _whole(_padded(_middle(mono, SAMPLES))).clip(-32768, 32767).astype(np.int16)
    digest = hashlib.blake2b(second.tobytes(), digest_size=16).digest()
    return Clip(name, second, digest, mixed=mixed, resampled=rate != RATE_HZ, cut=cut)


def _wav(content: bytes) -> tuple[NDArray[Any], int] | None:
    """Samples [n, channels] and rate of a 16-bit wav; None where it holds another kind of sample."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            channels, rate, count = file.getnchannels(), file.getframerate(), file.getnframes()
            if file.getsampwidth() != 2:
                return None
            data = file.readframes(count)
    except wave.Error as cause:
        if "unknown" in str(cause):  # a format other than PCM
            return None
        raise ValueError(f"no wav file ({cause})") from cause
    if len(data) < 2 * channels * count:
        raise ValueError(f"truncated: {len(data) // (2 * channels)} of {count} samples are there")
    return np.frombuffer(data, dtype="<i2").reshape(-1, channels), rate


def _by_soundfile(content: bytes) -> tuple[NDArray[Any], int]:
    """Samples [n, channels] in units of 16 bits, and rate, of what libsndfile reads."""
    soundfile = _soundfile("FLAC files, and wav files other than 16-bit PCM,")
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            count, rate = file.frames, file.samplerate
            data = file.read(dtype="float64", always_2d=True)
    except soundfile.SoundFileError as cause:
        raise ValueError(str(cause).partition(": ")[2] or str(cause)) from cause
    if len(data) < count:
        raise ValueError(f"truncated: {len(data)} of {count} samples are there")
    if not np.isfinite(data).all():
        raise ValueError("it holds NaN or infinity")
    return data * 32768, rate


def _soundfile(what: str) -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as cause:  # OSError: libsndfile itself is missing
        raise DataError(
            f"reading {what} needs the soundfile library",
            where="data",
            fix="pip install 'edgedistill[audio]'",
        ) from cause
    return soundfile


def _resampled(mono: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    from scipy.signal import resample_poly

    common = math.gcd(rate, RATE_HZ)
    resampled: NDArray[np.float64] = resample_poly(mono, RATE_HZ // common, rate // common)
    return resampled


def _whole(mono: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half to even, where what is a half but for the last bits of a sum counts as one.

    Ramps of sound resample to exact halves; which side of them a sum falls on is its order's accident.
    """
    return np.rint(np.rint(mono * 2.0**24) / 2.0**24)


def _middle(samples: NDArray[Any], count: int) -> NDArray[Any]:
    before = max(len(samples) - count, 0) // 2
    return samples[before : before + count]


def _padded(mono: NDArray[np.float64]) -> NDArray[np.float64]:
    """Zeros on both sides up to a second."""
    missing = SAMPLES - len(mono)
    return np.pad(mono, (missing // 2, missing - missing // 2))
