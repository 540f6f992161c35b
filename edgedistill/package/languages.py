"""Runs the pre-processing of a language on many raw inputs at once, to compare it with the reference.

A program reads one file of records and writes one of results, as package/c/check.c says: a record is six
little-endian int32 and its data. Kind 0 is a picture: height, width, channels, out_height, out_width; then
a byte out_channels and the pixels, and the result is int8 [out_height, out_width, out_channels]. Kind 1 is a
recording: frames, channels, rate_hz, to_hz, length; then float64 samples, and the result is int16 [length].
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import GateError
from edgedistill.package import preprocess, templates
from edgedistill.runners import programs

C_FILES = ("preprocess.h", "preprocess.c", "sound.h", "sound.c", "check.c")
C_FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic")
_SECONDS = 600


@dataclass(frozen=True, eq=False)
class Picture:
    """Decoded pixels uint8 [H, W, C] and the size of the model's input."""

    pixels: NDArray[np.uint8]
    height: int
    width: int
    channels: int

    def record(self) -> bytes:
        head = struct.pack("<6i", 0, *self.pixels.shape, self.height, self.width)
        return head + bytes([self.channels]) + np.ascontiguousarray(self.pixels).tobytes()

    def expected(self) -> bytes:
        return preprocess.image(self.pixels, self.height, self.width, self.channels).tobytes()


@dataclass(frozen=True, eq=False)
class Recording:
    """Samples [S, K] in units of 16 bits, and the clip that the model takes."""

    samples: NDArray[np.generic]
    rate_hz: int
    to_hz: int
    length: int

    def record(self) -> bytes:
        head = struct.pack("<6i", 1, *self.samples.shape, self.rate_hz, self.to_hz, self.length)
        return head + self.samples.astype("<f8").tobytes()

    def expected(self) -> bytes:
        clip = preprocess.clip(self.samples, self.rate_hz, self.to_hz, self.length)
        return clip.astype("<i2").tobytes()


def identical(cases: Sequence[Picture | Recording], results: bytes) -> list[bool]:
    """For each case, whether its part of ``results`` is what the reference gives."""
    same, at = [], 0
    for case in cases:
        wanted = case.expected()
        same.append(results[at : at + len(wanted)] == wanted)
        at += len(wanted)
    return same


def answers(cases: Sequence[Picture | Recording], command: Sequence[str | Path], folder: Path) -> bytes:
    """What a program says to the cases; it is called as ``command CASES RESULTS`` in ``folder``.

    Raises:
        GateError: it ends with an error.
    """
    (folder / "cases.bin").write_bytes(b"".join(case.record() for case in cases))
    ended = programs.run([*command, "cases.bin", "results.bin"], seconds=_SECONDS, folder=folder)
    if ended.code:
        raise GateError(f"the program ended with {ended.code}: {ended.last_words}", where=str(command[0]))
    return (folder / "results.bin").read_bytes()


def in_c(cases: Sequence[Picture | Recording], cc: Sequence[str], *, under: Sequence[str] = ()) -> bytes:
    """As ``answers``, of the C files compiled by ``cc``; ``under``: an emulator and its arguments."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in C_FILES:
            templates.write(folder, name, templates.plain(f"c/{name}"))
        sources = [name for name in C_FILES if name.endswith(".c")]
        built = programs.run([*cc, *C_FLAGS, "-o", "check", *sources, "-lm"], seconds=_SECONDS, folder=folder)
        if built.code:
            raise GateError(f"the C files could not be compiled: {built.last_words}", where=cc[0])
        return answers(cases, [*under, folder / "check"], folder)
