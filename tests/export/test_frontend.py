"""The front end in C: compiles without a warning and gives the bytes that NumPy gives."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgedistill.data import frontend as fe
from edgedistill.export import frontend

WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-pedantic", "-Werror"]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("needs a C compiler (cc, gcc or clang)")
    folder = tmp_path_factory.mktemp("frontend")
    frontend.write(folder)
    out = folder / "frontend.so"
    command = [compiler, "-std=c99", "-O2", *WARNINGS, "-shared", "-fPIC", "frontend.c", "-o", str(out)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    return ctypes.CDLL(str(out))


def clips() -> np.ndarray:
    rng = np.random.default_rng(7)
    t = np.arange(fe.SAMPLES) / fe.RATE_HZ
    rows = [
        np.zeros(fe.SAMPLES),
        np.full(fe.SAMPLES, -32768.0),
        np.where(np.arange(fe.SAMPLES) % 2, 32767, -32768),
        np.where(np.arange(fe.SAMPLES) // 8 % 2, 32767, -32768),
        9_000 * np.sin(2 * np.pi * (100 + 3_500 * t) * t),
    ]
    rows += [rng.normal(0, rms, size=fe.SAMPLES) for rms in (0.3, 2, 50, 1_000, 40_000)]
    return np.rint(np.stack(rows)).clip(-32768, 32767).astype(np.int16)


def test_c_gives_the_same_bytes(library: ctypes.CDLL) -> None:
    for wave in clips():
        samples = np.ascontiguousarray(wave)
        out = np.empty((fe.FRAMES, fe.BANDS), dtype=np.int8)
        scratch = np.empty(fe.FFT, dtype=np.int32)
        library.edgedistill_frontend_clip(
            samples.ctypes.data_as(ctypes.c_void_p),
            out.ctypes.data_as(ctypes.c_void_p),
            scratch.ctypes.data_as(ctypes.c_void_p),
        )
        np.testing.assert_array_equal(out.astype(np.int16) + 128, fe.features(wave[None])[0, :, :, 0])


def test_the_header_says_what_it_needs(tmp_path: Path) -> None:
    frontend.write(tmp_path)
    header = (tmp_path / "frontend.h").read_text()
    assert "EDGEDISTILL_FRONTEND_SCRATCH 512 " in header
    assert fe.tables().sha256 in header
