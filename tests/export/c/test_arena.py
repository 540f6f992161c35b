"""The planned arena is the arena that the C uses: not a byte past it, and no more than a rest below it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edgedistill import students
from edgedistill.export import c
from edgedistill.export.c.steps import depthwise_scratch
from edgedistill.ir import ops
from edgedistill.ir.graph import Graph
from edgedistill.read import read
from tests.export.c.compiled import VARIANTS, WARNINGS, compile_c, metadata
from tests.graphs import small_integer_graph

HERE = Path(__file__).parent
REST_BYTES = 16  # of an aligned buffer at the end


def compare(graph: Graph, folder: Path) -> None:
    planned = c.memory(graph).peak
    c.write(graph, metadata("use"), folder)
    assert f"_ARENA_BYTES {planned}\n" in (folder / "edgedistill_use.h").read_text(encoding="utf-8")
    files = [HERE / "arena_use.c", folder / "edgedistill_use.c"]
    compile_c(folder / "use", files, [*WARNINGS, *VARIANTS["dsp"], "-O1", f"-I{folder}"])
    done = subprocess.run([folder / "use"], capture_output=True, text=True, timeout=60, check=True)
    assert planned - REST_BYTES - only_vectors_need(graph) <= int(done.stdout) <= planned


def only_vectors_need(graph: Graph) -> int:
    """Bytes that may stay unused here: one plan serves all cores."""
    needs = [depthwise_scratch(graph, op) for op in graph.ops if isinstance(op.attrs, ops.DepthwiseConv2D)]
    return max((max(0, max(vectors) - dsp) for dsp, *vectors in needs), default=0)


def test_a_small_graph(tmp_path: Path) -> None:
    compare(small_integer_graph(4), tmp_path)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["ad01_int8", "kws_ref_model", "pretrainedResnet_quant", "vww_96_int8"])
def test_the_four_networks(name: str, real_data: Path, tmp_path: Path) -> None:
    compare(read(real_data / "mlperf_tiny" / f"{name}.tflite").graph, tmp_path)


@pytest.mark.parametrize("name", students.STUDENTS)
def test_own_students(name: str, tmp_path: Path) -> None:
    compare(student(name), tmp_path)


def student(name: str) -> Graph:
    """Untrained, with dummy ranges."""
    import torch

    from edgedistill.lower.passes import simplify
    from edgedistill.lower.trace import trace
    from edgedistill.quant import ranges
    from edgedistill.quant.integer import to_integer

    torch.manual_seed(0)
    shape = (16, 16, 1)
    net = students.parse(name).build(4, shape[2])
    graph = ranges.separate_fixed_operands(simplify(trace(net, shape, tuple("abcd"))))
    return to_integer(graph, ranges.choose(graph, {}))
