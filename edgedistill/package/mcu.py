"""Writes the package for microcontrollers: the student's library, and pre-processing with its proof."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgedistill import package
from edgedistill.export.c import text
from edgedistill.package import c_student, escape, golden_raw, preprocess, templates
from edgedistill.package import contract as contracts
from edgedistill.package.contract import Contract, ImageInput

_MOST_RAW_BYTES = 9_000  # of a picture that the self-test holds in flash


def write(contract: Contract, folder: Path, out: Path) -> tuple[str, ...]:
    """Fills ``out``: student/ for four build systems, of images preprocess/, golden-raw/ and texts."""
    source = c_student.put(contract, folder, out / "student")
    cases = golden_raw.write(contract, folder, out, source.family)
    package.copy(folder / contract.golden, out, "golden.npz")
    templates.write(out, "labels.json", escape.json_text(list(contract.labels)) + "\n")
    templates.write(out, "model.json", escape.json_text(contracts.described(contract)) + "\n")
    want = contract.input
    small = [case for case in cases if case.raw.nbytes <= _MOST_RAW_BYTES]
    values: dict[str, object] = {
        "contract": contract,
        "name": source.name,
        "upper": source.name.upper(),
        "flash": [(m.quantity, m.value, m.unit, m.how) for m in contract.measurements if m.unit == "bytes"],
    }
    files = {"README.md.j2": "README.md"}
    if isinstance(want, ImageInput):
        values["cases"] = [
            {
                "shape": case.raw.shape,
                "raw": text.lines([str(v) for v in case.raw.reshape(-1).tolist()]),
                "output": text.lines([str(v) for v in case.output.tolist()]),
            }
            for case in small
        ]
        values["scratch"] = max(scratch(want, *case.raw.shape[:2]) for case in small)
        for name in ("preprocess.h", "preprocess.c"):
            templates.write(out, f"preprocess/{name}", templates.plain(f"c/{name}"))
        files |= {
            "raw_self_test.h.j2": "preprocess/raw_self_test.h",
            "raw_self_test.c.j2": "preprocess/raw_self_test.c",
            "CMakeLists.txt.j2": "preprocess/CMakeLists.txt",
        }
    for template, path in files.items():
        templates.write(out, path, templates.render(f"mcu/{template}", values))
    return (
        f"student/ is the library {source.name} for CMake, ESP-IDF, Zephyr and Arduino; see its README.md",
    )


def scratch(want: ImageInput, height: int, width: int) -> int:
    """What edgedistill_image_scratch answers for a picture: int32 values that its pre-processing needs."""
    left, top, right, bottom = preprocess.box(height, width, want.height, want.width)
    across, down = (
        2 * (int(max(float(np.float32(end - start)) / out, 1.0)) + 1) + 1
        for start, end, out in ((left, right, want.width), (top, bottom, want.height))
    )
    return want.width * (2 + across) + down + want.width * want.channels
