"""Requantisation in C, with and without a float unit, and the integers behind ADD and MUL, against NumPy."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgedistill.export.c import constants, kernel
from edgedistill.ir import numerics
from edgedistill.ir.graph import QParams
from tests.export.c.compiled import SANITIZERS, WARNINGS, compile_c

PROGRAM = """
#include <stdint.h>
#include <stddef.h>
%s
#include <stdio.h>
#include <string.h>
int main(void)
{
    struct { int32_t acc; uint32_t bits; int32_t zero; } row;
    while (fread(&row, 1, sizeof row, stdin) == sizeof row) {
        edge_scale_t scale;
        memcpy(&scale, &row.bits, sizeof scale);
        putchar((unsigned char)edge_requantise(row.acc, scale, row.zero));
    }
    return 0;
}
"""

BUILDS = {
    "float": ("-DEDGE_FLOAT=1", *SANITIZERS),
    "integers": ("-DEDGE_FLOAT=0", *SANITIZERS),
    "float, fused where allowed": ("-DEDGE_FLOAT=1", "-O3", "-march=native", "-ffp-contract=fast"),
    "integers, optimised": ("-DEDGE_FLOAT=0", "-O3"),
}


def rows() -> NDArray[np.void]:
    """(acc, bits of the multiplier, zero point): ends of ranges, products near a half, random values."""
    rng = np.random.default_rng(11)
    few = np.array([0, 1, -1, 2, -3, 127, -128, 2**23, 2**24 - 1, 2**24, 2**24 + 1, 2**24 + 2, 2**24 + 3])
    far = np.array([2**25 + 2, 2**25 + 6, 2**30 + 63, 2**30 + 64, 2**30 + 65, 2**31 - 1, -(2**31)])
    acc = np.concatenate([few, -few, far, -far[:-1]])
    powers = np.float32(2.0) ** np.arange(-40, 9).astype(np.float32)
    odd = np.array([0, 1e-45, 1e-38, 1.2e-38, 1 / 3, 0.1, 3e-5, 255.99998, 1e9], np.float32)
    corner = np.array(np.meshgrid(acc, np.concatenate([powers, odd, np.nextafter(powers, np.float32(0))])))
    parts = [corner.reshape(2, -1)]
    m = np.exp(rng.uniform(np.log(1e-8), np.log(2), 60_000)).astype(np.float32)
    half = rng.integers(-260, 260, len(m)) + 0.5
    near = np.clip(np.rint(half / m) + rng.integers(-2, 3, len(m)), -(2**31), 2**31 - 1)
    parts.append(np.array([near, m]))
    exact = np.ldexp(rng.integers(1, 2**12, 20_000).astype(np.float32), rng.integers(-24, -10, 20_000))
    parts.append(np.array([np.rint(rng.integers(-260, 260, 20_000) / 2 / exact), exact]))  # many true halves
    parts.append(np.array([rng.integers(-(2**31), 2**31, 40_000), m[:40_000]]))
    both = np.concatenate(parts, 1)
    found = np.zeros(both.shape[1], np.dtype([("acc", "<i4"), ("m", "<f4"), ("zero", "<i4")]))
    found["acc"], found["m"] = both[0].astype(np.int64), both[1]
    found["zero"] = rng.integers(-128, 128, len(found))
    return found


@pytest.mark.parametrize("build", BUILDS)
def test_requantisation_is_the_interpreters(build: str, tmp_path: Path) -> None:
    source = tmp_path / "requantise.c"
    source.write_text(PROGRAM % "\n".join(kernel.sources(["requantise"])))
    compile_c(tmp_path / "requantise", [source], [*WARNINGS, *BUILDS[build]])
    cases = rows()
    done = subprocess.run(
        [tmp_path / "requantise"], input=cases.tobytes(), capture_output=True, timeout=60, check=True
    )
    found = np.frombuffer(done.stdout, np.int8)
    y = cases["acc"].astype(np.float32) * cases["m"]
    expected = np.clip(np.rint(y) + cases["zero"].astype(np.float32), -128, 127).astype(np.int8)
    wrong = np.flatnonzero(found != expected)
    assert len(found) == len(cases) and not len(wrong), cases[wrong[:5]]
    assert (np.abs(y - np.trunc(y)) == 0.5).sum() > 1000  # the cases do contain halves


def pairs() -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """All 65,536 pairs of int8."""
    a, b = np.meshgrid(np.arange(-128, 128, dtype=np.int8), np.arange(-128, 128, dtype=np.int8))
    return a.reshape(-1), b.reshape(-1)


def quant(scale: float | np.float32, zero_point: int) -> QParams:
    return QParams(np.array([scale], np.float32), zero_point)


def divided(t: NDArray[np.int64], fields: dict[str, int]) -> NDArray[np.int64]:
    """The end of both kernels, with the widths that C has."""
    assert t.min() >= 0 and t.max() < 2**31
    y: NDArray[np.int64] = np.clip(((t * fields["factor"]) >> 32) + fields["zero"], -128, 127)
    return y


scales = st.floats(1e-4, 1.0)
zeros = st.integers(-128, 127)


@settings(max_examples=60, deadline=None)
@given(scales, scales, scales, zeros, zeros, zeros)
def test_add_divides_exactly(s_a: float, s_b: float, s_y: float, z_a: int, z_b: int, z_y: int) -> None:
    snapped_b, snapped_y = numerics.snap_add(s_a, s_b, s_y)
    q_a, q_b, q_y = quant(s_a, z_a), quant(snapped_b, z_b), quant(snapped_y, z_y)
    fields = constants.add(q_a, q_b, q_y)
    assert fields is not None
    a, b = pairs()
    t = a.astype(np.int64) * fields["left"] + b.astype(np.int64) * fields["right"] + fields["offset"]
    np.testing.assert_array_equal(divided(t, dict(fields)), numerics.add_f(a, b, q_a, q_b, q_y))


@settings(max_examples=60, deadline=None)
@given(scales, scales, scales, zeros, zeros, zeros)
def test_mul_divides_exactly(s_a: float, s_b: float, s_y: float, z_a: int, z_b: int, z_y: int) -> None:
    snapped_b, snapped_y = numerics.snap_mul(s_a, s_b, s_y)
    q_a, q_b, q_y = quant(s_a, z_a), quant(snapped_b, z_b), quant(snapped_y, z_y)
    fields = constants.mul(q_a, q_b, q_y)
    assert fields is not None
    a, b = pairs()
    product = (a.astype(np.int64) - z_a) * (b.astype(np.int64) - z_b)
    t = np.clip(product, fields["low"], fields["high"]) * fields["numerator"] + fields["offset"]
    np.testing.assert_array_equal(divided(t, dict(fields)), numerics.mul_f(a, b, q_a, q_b, q_y))


def test_free_scales_have_no_integers() -> None:
    free = quant(0.0123, 0), quant(0.0456, 1), quant(0.0321 * np.pi, 2)
    assert constants.add(*free) is None and constants.mul(quant(0.1, 0), quant(0.1, 0), free[2]) is None
