"""A Core ML package is read back, never claimed to have run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgedistill.bench.coreml import coreml
from edgedistill.bench.parity import parity, verify_dir
from edgedistill.errors import GateError
from edgedistill.export import EXPORTERS
from edgedistill.export.metadata import Metadata
from edgedistill.ir.graph import Graph
from tests.graphs import random_input


def test_read_back_and_broken(graph: Graph, built: Path) -> None:
    pytest.importorskip("coremltools")
    package = built / "student.mlpackage"
    EXPORTERS["coreml"].write(graph, Metadata("small", "a test", graph.labels, 1 / 64, 0, "0"), package)
    row = parity(graph, built, random_input(graph, 4))[-1]
    assert (row.runtime, row.how, row.values) == ("coreml", "not run", 0)
    assert "operators, scales and weights in the file are the graph's" in row.note
    assert "values (4 inputs)" in row.note
    assert any(r.runtime == "coreml" and r.how == "not run" for r in verify_dir(built))

    weight = graph.tensors[graph.ops[0].inputs[1]]
    assert weight.data is not None
    other = graph.with_tensors(replace(weight, data=np.asarray(-weight.data)))
    x = random_input(graph, 1)
    with pytest.raises(GateError, match="the Core ML package is not the graph"):
        coreml(package, other, x, x)
    for file in package.rglob("weight.bin"):
        file.unlink()
    with pytest.raises(GateError):
        coreml(package, graph, x, x)
    (package / "Manifest.json").unlink()
    with pytest.raises(GateError, match=r"no Manifest\.json"):
        coreml(package, graph, x, x)
