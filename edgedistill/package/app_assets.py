"""Writes what a phone's app reads of a student beside its model: labels, scales, golden vectors, raw inputs.

student.json is the index. golden-inputs.bin and golden-answers.bin hold int8 vectors one behind the other:
those of the build's golden.npz, then one for each raw input (golden_raw.py). raw-N.bin is a picture, uint8
[H, W, C], or a recording, int16 [S, K] little-endian, as an app gets them before any pre-processing; its
vector is what must be made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgedistill.ir import golden
from edgedistill.package import escape, golden_raw
from edgedistill.package.contract import Contract, ModelFile

INDEX = "student.json"


@dataclass(frozen=True)
class Written:
    """How many vectors there are, raw ones included, and how many raw inputs."""

    vectors: int
    raw: int


def write(contract: Contract, folder: Path, out: Path, models: Sequence[ModelFile]) -> Written:
    """Writes the files into ``out``; the same build gives the same bytes.

    Args:
        contract: of the build.
        folder: of the build, with graph.npz and golden.npz.
        out: an existing folder.
        models: what student.json names with its digest, by file name.
    """
    vectors = golden.load(folder / contract.golden)
    raw = golden_raw.cases(contract, folder)
    inputs = np.concatenate([vectors.inputs, *(case.input[None] for case in raw)])
    answers = np.concatenate([vectors.outputs, *(case.output[None] for case in raw)])
    (out / "golden-inputs.bin").write_bytes(inputs.tobytes())
    (out / "golden-answers.bin").write_bytes(answers.tobytes())
    for number, case in enumerate(raw):
        (out / f"raw-{number}.bin").write_bytes(case.raw_bytes)
    index = {
        "schema_version": 1,
        "name": contract.name,
        "task": contract.task,
        "labels": list(contract.labels),
        "input_shape": list(contract.input.shape),
        "input": vars(contract.input_quant),
        "output": vars(contract.output_quant),
        "models": {m.format: {"file": m.path, "sha256": m.sha256} for m in models},
        "golden": {
            "vectors": len(inputs),
            "raw": [
                {
                    "file": f"raw-{n}.bin",
                    "shape": list(case.raw.shape),
                    "vector": len(vectors.inputs) + n,
                    **({} if case.rate_hz is None else {"rate_hz": case.rate_hz}),
                }
                for n, case in enumerate(raw)
            ],
        },
    }
    (out / INDEX).write_text(escape.json_text(index) + "\n", encoding="ascii")
    return Written(len(inputs), len(raw))


def proofs(contract: Contract, formats: Sequence[str]) -> list[str]:
    """A line for each runtime that was proved on one of the formats."""
    return [
        f"{row.artifact} in {row.runtime}: {row.identical} of {row.values} values the same bits ({row.how})"
        for name in formats
        for row in contract.runtimes(name)
    ]
