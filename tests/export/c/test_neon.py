"""Requantisation in NEON vectors, of both families, against NumPy on 64-bit Arm in QEMU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.export.c import kernel
from edgedistill.ir import numerics
from edgedistill.ir.interpret import Family
from tests.export.c.compiled import ARM, ARM_VARIANTS, SANITIZERS, WARNINGS, compile_c, run
from tests.export.c.test_numerics import rows

PROGRAM = """
#include <stdint.h>
#include <stddef.h>
%s
#include <stdio.h>
int main(void)
{
    struct { int32_t acc[4]; edge_scale_t scale[4]; int32_t zero; } four;
    while (fread(&four, 1, sizeof four, stdin) == sizeof four) {
        const int32x4_t one = edge_scale_four(vld1q_s32(four.acc), edge_four_scales(four.scale), four.zero);
        const edge_sixteen_t v = {one, one, one, one};
        int8_t bytes[16];
        vst1q_s8(bytes, edge_narrow(&v));
        fwrite(bytes, 1, 4, stdout);
    }
    return 0;
}
"""


def vectors(cases: NDArray[np.void], family: Family, folder: Path) -> NDArray[np.int8]:
    """What C makes of ``cases``, which have the fields acc [4], scale [4] and zero."""
    source = folder / "four.c"
    source.write_text(PROGRAM % "\n".join(kernel.sources(["requantise", "neon"], family)), encoding="utf-8")
    flags = [*WARNINGS, *SANITIZERS, *ARM_VARIANTS["NEON"], "-ffp-contract=fast"]
    compile_c(folder / "four", [source], flags, ARM)
    done = run(folder / "four", cases.tobytes(), ARM)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[:4000]
    return np.frombuffer(done.stdout, np.int8).reshape(-1, 4)


def fours() -> NDArray[np.void]:
    """The cases of the scalar test, four with one zero point."""
    one = rows()
    return one[: len(one) // 4 * 4].reshape(-1, 4)


def test_family_f(tmp_path: Path) -> None:
    given = fours()
    cases = np.zeros(len(given), np.dtype([("acc", "<i4", 4), ("scale", "<f4", 4), ("zero", "<i4")]))
    cases["acc"], cases["scale"], cases["zero"] = given["acc"], given["m"], given["zero"][:, 0]
    y = np.rint(cases["acc"].astype(np.float32) * cases["scale"]) + cases["zero"][:, None].astype(np.float32)
    expected = np.clip(y, -128, 127).astype(np.int8)
    np.testing.assert_array_equal(vectors(cases, "F", tmp_path), expected)


def test_family_d(tmp_path: Path) -> None:
    given = fours()
    scale = np.dtype([("multiplier", "<i4"), ("shift", "<i4")])
    cases = np.zeros(len(given), np.dtype([("acc", "<i4", 4), ("scale", scale, 4), ("zero", "<i4")]))
    parts = np.array([numerics.quantise_multiplier_d(float(m)) for m in given["m"].reshape(-1)], np.int64)
    q31, shift = parts[:, 0].reshape(-1, 4), np.minimum(parts[:, 1], 30).reshape(-1, 4)
    cases["acc"], cases["zero"] = given["acc"], given["zero"][:, 0]
    cases["scale"]["multiplier"], cases["scale"]["shift"] = q31, shift
    y = numerics.multiply_d(given["acc"].astype(np.int64), q31, shift) + cases["zero"][:, None]
    expected = np.clip(y, -128, 127).astype(np.int8)
    assert (shift == -31).any() and (shift > 0).any() and (given["acc"] == -(2**31)).any()
    np.testing.assert_array_equal(vectors(cases, "D", tmp_path), expected)
