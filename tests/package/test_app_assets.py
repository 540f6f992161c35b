"""What a phone's app reads: golden vectors that the interpreter answers, raw inputs of the reference."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgedistill.ir import golden, interpret, serial
from edgedistill.package import app_assets, golden_raw
from edgedistill.package.contract import Contract
from tests.package import phones


@pytest.mark.parametrize(
    ("contract", "build"), [(phones.pictures(), phones.PICTURES), (phones.sounds(), phones.SOUNDS)]
)
def test_vectors_are_the_builds_and_then_the_raw_inputs(
    contract: Contract, build: Path, tmp_path: Path
) -> None:
    written = app_assets.write(contract, build, tmp_path, contract.models)
    index = json.loads((tmp_path / "student.json").read_text(encoding="ascii"))
    kept = golden.load(build / "golden.npz")
    shape = (written.vectors, *contract.input.shape[1:])
    inputs = np.frombuffer((tmp_path / "golden-inputs.bin").read_bytes(), np.int8).reshape(shape)
    answers = np.frombuffer((tmp_path / "golden-answers.bin").read_bytes(), np.int8)
    answers = answers.reshape(written.vectors, len(contract.labels))
    np.testing.assert_array_equal(inputs[: len(kept.inputs)], kept.inputs)
    np.testing.assert_array_equal(answers[: len(kept.outputs)], kept.outputs)
    graph = serial.load(build / "graph.npz")
    again = interpret.run_batched(graph, {graph.inputs[0]: inputs})[graph.outputs[0]]
    np.testing.assert_array_equal(answers, again)
    last = len(kept.inputs) + written.raw
    assert [raw["vector"] for raw in index["golden"]["raw"]] == list(range(len(kept.inputs), last))
    for raw in index["golden"]["raw"]:
        values = np.frombuffer(
            (tmp_path / raw["file"]).read_bytes(), "<i2" if contract.is_sound else np.uint8
        )
        made = golden_raw.model_input(contract, values.reshape(raw["shape"]), raw.get("rate_hz"))
        np.testing.assert_array_equal(made[0], inputs[raw["vector"]])
