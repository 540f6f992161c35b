"""Family D in C, TensorFlow Lite Micro's bits, is the interpreter's family D on every processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgedistill import target
from edgedistill.compiler import random_inputs
from edgedistill.export import c
from edgedistill.ir import interpret, serial
from edgedistill.ir.graph import Graph
from edgedistill.read import read
from edgedistill.runners import c_here, cortex_m
from tests.export.c.compiled import metadata
from tests.graphs import random_input, small_integer_graph

MODELS = Path(__file__).parents[3] / "models"
REASON = cortex_m.reason_not_runnable(target.load("cortex-m4"))


def family_d(graph: Graph, x: NDArray[np.int8]) -> NDArray[np.int8]:
    return interpret.run(graph, {graph.inputs[0]: x}, "D")[graph.outputs[0]].reshape(len(x), -1)


@pytest.mark.skipif(REASON is not None, reason=REASON or "")
@pytest.mark.parametrize("core", ["m0plus", "m4", "m55"])
def test_on_emulated_cores(core: str, tmp_path: Path) -> None:
    graph = small_integer_graph(6)
    c.write(graph, metadata("net"), tmp_path / "c", "D")
    x = random_input(graph, 4)
    found = cortex_m.run(tmp_path / "c", target.load(f"cortex-{core}"), x)
    np.testing.assert_array_equal(found.outputs, family_d(graph, x))


@pytest.mark.skipif(REASON is not None, reason=REASON or "")
@pytest.mark.parametrize(
    ("name", "board"), [("cifar10-resnet8", "nucleo-l4r5zi"), ("speech-commands-dscnn", "cortex-m7")]
)
def test_trained_students_as_firmware(name: str, board: str, tmp_path: Path) -> None:
    graph = serial.load(MODELS / name / "graph.npz")
    c.write(graph, metadata("net"), tmp_path / "c", "D")
    x = np.load(MODELS / name / "golden.npz")["inputs"][:3]
    found = cortex_m.run(tmp_path / "c", target.load(board), x)
    np.testing.assert_array_equal(found.outputs, family_d(graph, x))


@pytest.mark.skipif(c_here.compiler() is None, reason="needs a C compiler on the PATH")
@pytest.mark.real_data
@pytest.mark.parametrize("name", ["ad01_int8", "kws_ref_model", "pretrainedResnet_quant", "vww_96_int8"])
def test_the_four_networks(name: str, real_data: Path, tmp_path: Path) -> None:
    """Of which tests/read/test_mlperf_tiny.py shows that family D is LiteRT's reference kernels."""
    graph = read(real_data / "mlperf_tiny" / f"{name}.tflite").graph
    c.write(graph, metadata("net"), tmp_path, "D")
    x = random_inputs(graph, 4)
    got, _ = c_here.run(tmp_path, x)
    np.testing.assert_array_equal(got, family_d(graph, x))
