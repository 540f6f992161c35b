"""A small build's folder: int8 and float32 models, golden inputs, graph and record."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgedistill.bench.files import sha256_of, size_of
from edgedistill.export import EXPORTERS
from edgedistill.export.metadata import Metadata
from edgedistill.ir import golden, serial
from edgedistill.ir.graph import Graph
from edgedistill.record import Accuracy, Artifact, BuildRecord, GraphSummary
from tests.graphs import random_input, small_float_graph, small_integer_graph


@pytest.fixture(scope="session")
def graph() -> Graph:
    return small_integer_graph(3)


@pytest.fixture(scope="session")
def pristine(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder as built; tests that alter it take ``built``, a copy."""
    folder = tmp_path_factory.mktemp("build")
    meta = Metadata("small", "a test network", graph.labels, 1 / 64, 0, "0")
    for name in ("onnx", "tflite"):
        EXPORTERS[name].write(graph, meta, folder / f"student.{name}")
        EXPORTERS[name].write(small_float_graph(3), meta, folder / f"student-float32.{name}")
    golden.save(golden.golden(graph, random_input(graph, 8)), folder / "golden.npz")
    (folder / "graph.npz").write_bytes(serial.to_bytes(graph))
    record = BuildRecord(
        edgedistill_version="0",
        target="android-arm64",
        created_utc="2026-01-02T03:04:05Z",
        recipe={},
        recipe_sha256="0" * 64,
        machine="",
        versions={},
        stage_hashes={},
        stage_seconds={},
        labels=graph.labels,
        input_shape=graph.tensors[graph.inputs[0]].shape,
        input_scale=1 / 64,
        input_zero_point=0,
        accuracy=Accuracy(),
        graph=GraphSummary(
            macs=1, weight_bytes=1, arena_bytes=1, parameters=1, ops=1, exact_by_construction=True
        ),
        artifacts=tuple(
            Artifact(format=file.suffix[1:], path=file.name, sha256=sha256_of(file), size_bytes=size_of(file))
            for file in sorted(folder.iterdir())
        ),
    )
    (folder / "record.json").write_text(record.model_dump_json())
    return folder


@pytest.fixture
def built(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "build"))
