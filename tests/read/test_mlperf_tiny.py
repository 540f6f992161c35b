"""The four int8 networks of MLPerf Tiny, which others made and quantised, give their own runtime's bits.

Seen on 32 random inputs each, every value of every layer: the interpreter's family F is LiteRT with
XNNPACK, and family D (fully connected layers rounding once) is LiteRT's reference kernels.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from edgedistill.bench.reference import litert_reference_values
from edgedistill.compiler import compile_model, random_inputs
from edgedistill.ir import interpret, plan
from edgedistill.read import Loaded, read
from edgedistill.runners.litert import LiteRt

MACS = {  # of one input, counted from the layers' shapes
    "ad01_int8": 264_192,
    "kws_ref_model": 2_664_768,
    "pretrainedResnet_quant": 12_505_728,
    "vww_96_int8": 7_491_968,
}
TFLM_ARENA_BYTES = {  # TensorFlow Lite Micro with CMSIS-NN, arena_used_bytes()
    "ad01_int8": 2_580,
    "kws_ref_model": 22_820,
    "pretrainedResnet_quant": 54_996,
    "vww_96_int8": 100_708,
}
INPUTS = 4

pytestmark = pytest.mark.real_data


@pytest.fixture(params=MACS)
def path(request: pytest.FixtureRequest, real_data: Path) -> Path:
    found = real_data / "mlperf_tiny" / f"{request.param}.tflite"
    if not found.exists():
        pytest.skip(f"needs {found.name} in a folder mlperf_tiny of the real data sets")
    return found


@pytest.fixture
def loaded(path: Path) -> Loaded:
    started = time.perf_counter()
    found = read(path)
    assert time.perf_counter() - started < 2
    return found


def test_every_layer_is_xnnpacks(path: Path, loaded: Loaded) -> None:
    graph = loaded.graph
    x = random_inputs(graph, INPUTS)
    ours, theirs = interpret.run(graph, {graph.inputs[0]: x}, keep=True), LiteRt(path).run_all(x)
    assert set(ours) <= set(theirs)
    assert [name for name in ours if not np.array_equal(ours[name], theirs[name])] == []


def test_every_layer_is_the_reference_kernels(path: Path, loaded: Loaded) -> None:
    graph = loaded.graph
    x = random_inputs(graph, INPUTS)
    ours, theirs = litert_reference_values(graph, x), LiteRt(path, reference=True).run_all(x)
    assert [name for name in ours if not np.array_equal(ours[name], theirs[name])] == []


def test_costs_and_notes(path: Path, loaded: Loaded) -> None:
    assert sum(plan.macs(loaded.graph).values()) == MACS[path.stem]
    assert plan.arena(loaded.graph).peak < TFLM_ARENA_BYTES[path.stem]
    softmax = path.stem != "ad01_int8"
    assert [("softmax" in note) for note in loaded.notes] == [True] * softmax


def test_compiled_files_are_proven_in_less_than_two_seconds(path: Path, tmp_path: Path) -> None:
    compile_model(path, tmp_path / "first", ("tflite", "onnx"), inputs=1)  # loads the runtimes
    started = time.perf_counter()
    done = compile_model(path, tmp_path / "net", ("tflite", "onnx"))
    assert time.perf_counter() - started < 2
    done.raise_if_broken()
    rows = [row for row in done.record.parity if row.family == "F"]
    assert len(rows) == 2 and all(row.identical == row.values for row in rows)
    assert all("as given" not in note for note in done.record.warnings)
