"""What a phone's app reads of a student: golden vectors that the interpreter answers, raw inputs of the reference."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgedistill.data import frontend
from edgedistill.ir import golden, interpret, serial
from edgedistill.package import app_assets
from edgedistill.package.contract import Contract
from tests.package import phones


@pytest.mark.parametrize(
    ("contract", "build"), [(phones.pictures(), phones.PICTURES), (phones.sounds(), phones.SOUNDS)]
)
def test_vectors_are_the_builds_and_then_the_raw_inputs(contract: Contract, build: Path, tmp_path: Path) -> None:
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
    assert [raw["vector"] for raw in index["golden"]["raw"]] == [len(kept.inputs), len(kept.inputs) + 1]
    for raw in index["golden"]["raw"]:
        values = np.frombuffer((tmp_path / raw["file"]).read_bytes(), "<i2" if contract.is_sound else np.uint8)
        made = app_assets.ready(contract, values.reshape(raw["shape"]))
        np.testing.assert_array_equal(made[0], inputs[raw["vector"]])


def test_a_short_recording_lies_in_the_middle_of_its_clip() -> None:
    contract = phones.sounds()
    short = app_assets.raw_inputs(contract)[1].astype(np.int16)
    whole = np.zeros(frontend.SAMPLES, np.int16)
    before = (frontend.SAMPLES - len(short)) // 2
    whole[before : before + len(short)] = short
    np.testing.assert_array_equal(app_assets.ready(contract, short), app_assets.ready(contract, whole))
