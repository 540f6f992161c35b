"""TensorFlow's own interpreter gives the same bits as LiteRT's; needs TensorFlow, an extra."""

from __future__ import annotations

import numpy as np
import pytest

from edgedistill.export import tflite
from edgedistill.export.metadata import Metadata
from edgedistill.ir import interpret
from edgedistill.runners import litert
from tests.graphs import integer_cases, random_input, small_integer_graph

META = Metadata("small", "a test network", (), 1 / 64, 0, "0")
CASES = {"small": small_integer_graph(1), **integer_cases(1)}
ONLY_TENSORFLOW = "tensorflow.lite.python.interpreter"


@pytest.mark.parametrize("name", CASES)
def test_same_bits_in_tensorflows_interpreter(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    row = litert.RUNTIMES[ONLY_TENSORFLOW]
    monkeypatch.setattr(litert, "RUNTIMES", {ONLY_TENSORFLOW: row})
    graph = CASES[name]
    runner = litert.LiteRt(tflite.to_bytes(graph, META))
    x = random_input(graph, 3)
    expected = interpret.run(graph, {graph.inputs[0]: x})[graph.outputs[0]]
    np.testing.assert_array_equal(runner.run(x), expected)
