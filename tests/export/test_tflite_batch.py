"""A .tflite file whose batch is fixed: the same file but for its open dimensions, and the same answers."""

from __future__ import annotations

import numpy as np
import pytest

from edgedistill.export import tflite, tflite_batch
from edgedistill.export.metadata import Metadata
from edgedistill.export.tflite_flatbuffer import load_schema
from edgedistill.ir import golden
from edgedistill.runners import RUNNERS
from tests.graphs import random_input, small_integer_graph

GRAPH = small_integer_graph(3)
META = Metadata("small", "", GRAPH.labels, 1 / 64, 0, "0")


def _open(data: bytes) -> int:
    graph = load_schema().Model.GetRootAs(data, 0).Subgraphs(0)
    tensors = (graph.Tensors(i) for i in range(graph.TensorsLength()))
    return sum(int((t.ShapeSignatureAsNumpy() == -1).sum()) for t in tensors if t.ShapeSignatureLength())


@pytest.mark.parametrize("io", ["int8", "float32"])
def test_no_dimension_is_left_open(io: tflite.Io) -> None:
    data = tflite.to_bytes(GRAPH, META, io=io)
    fixed = tflite_batch.of_one(data)
    assert _open(data) > 0 and _open(fixed) == 0
    assert len(fixed) == len(data) and fixed != data
    assert tflite_batch.of_one(fixed) == fixed


def test_it_answers_as_before() -> None:
    vectors = golden.golden(GRAPH, random_input(GRAPH, 3))
    runner = RUNNERS["litert"].load()(tflite_batch.of_one(tflite.to_bytes(GRAPH, META)))
    for x, y in zip(vectors.inputs, vectors.outputs, strict=True):
        np.testing.assert_array_equal(runner.run(x[None]), y[None])
