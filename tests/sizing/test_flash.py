"""Planned flash and arena are the linked ones: of untrained weights here, of trained ones in the firmware."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgedistill import target
from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.ir import plan
from edgedistill.ir.graph import Graph, Op
from edgedistill.ir.interpret import Family
from edgedistill.read import read
from edgedistill.record import PlannedFlash
from edgedistill.runners import c_source, cortex_m
from edgedistill.runners.cortex_m import firmware
from edgedistill.sizing import flash
from tests.graphs import random_input, small_integer_graph

M4 = target.load("cortex-m4")
REASON = cortex_m.missing(cortex_m.CC)
needs_compiler = pytest.mark.skipif(REASON is not None, reason=REASON or "")


def untrained(graph: Graph) -> Graph:
    """Other weights, no biases; what no training changes, tables and the kernels of averages, stays."""
    rng = np.random.default_rng(0)
    fixed = {name for op in graph.ops if op.kind == "TABLE" or averages(graph, op) for name in op.inputs[1:]}
    new = {}
    for name, tensor in graph.tensors.items():
        if tensor.data is None or name in fixed:
            new[name] = tensor
            continue
        data = np.zeros_like(tensor.data)
        if tensor.dtype == "int8":
            data = rng.integers(-127, 128, data.shape).astype(np.int8)
        new[name] = replace(tensor, data=data)
    return graph.replace(tensors=new)


def averages(graph: Graph, op: Op) -> bool:
    """Whether a depthwise convolution is an average: one weight everywhere."""
    weights = graph.tensors[op.inputs[1]].data if op.kind == "DEPTHWISE_CONV_2D" else None
    return weights is not None and bool((weights == weights.flat[0]).all())


def linked(graph: Graph, folder: Path, family: Family) -> int:
    c.write(graph, Metadata("net", "", graph.labels, 1.0, 0, "0"), folder, family)
    made = firmware.compile_model(c_source.find(folder), M4, folder)
    return made.linked_bytes(random_input(graph, 1))


def compare(graph: Graph, folder: Path, family: Family = "F") -> PlannedFlash:
    planned = flash.planned(untrained(graph), M4, family=family)
    assert planned is not None and planned.code_bytes > 0 and planned.table_bytes > 0
    assert planned.weight_bytes == plan.network_bytes(graph)
    assert planned.total_bytes == pytest.approx(linked(graph, folder, family), rel=0.01)
    return planned


@needs_compiler
def test_a_small_graph_in_both_families(tmp_path: Path) -> None:
    graph = small_integer_graph(3)
    assert compare(graph, tmp_path) != compare(graph, tmp_path, "D")


@needs_compiler
def test_names_of_classes_are_not_counted() -> None:
    graph = small_integer_graph(3)
    printed = c.to_text(graph, Metadata("net", "", graph.labels, 1.0, 0, "0"))
    assert graph.labels[0] in printed.source
    assert flash.of_printed(printed, graph, M4) == flash.planned(graph.replace(labels=()), M4)


@needs_compiler
@pytest.mark.real_data
@pytest.mark.parametrize("name", ["ad01_int8", "kws_ref_model", "pretrainedResnet_quant", "vww_96_int8"])
def test_the_four_networks(name: str, real_data: Path, tmp_path: Path) -> None:
    compare(read(real_data / "mlperf_tiny" / f"{name}.tflite").graph, tmp_path)


def test_no_core_or_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = small_integer_graph(3)
    assert flash.planned(graph, target.load("android-arm64")) is None
    assert flash.planned(graph, M4, "no-such-gcc") is None
