"""The two files as an application meets them: names, labels, C++, and what is refused."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgedistill.errors import InputError, OutputError, UnsupportedOpError
from edgedistill.export import EXPORTERS, c
from edgedistill.export.c import text
from edgedistill.export.c.kernel import KERNELS, sources
from edgedistill.ir.graph import Graph, Tensor
from edgedistill.ir.plan import arena
from tests.export.c.compiled import WARNINGS, compile_c, metadata
from tests.graphs import Builder, integer_cases, small_float_graph, small_integer_graph

HERE = Path(__file__).parent


def dense_graph(products: int = 6) -> Graph:
    net = Builder("dense", 0)
    net.dense(net.input((1, products)), 3)
    return net.graph()


def test_the_row_names_a_folder(tmp_path: Path) -> None:
    row = EXPORTERS["c"]
    assert row.path(tmp_path) == tmp_path / "c" and EXPORTERS["onnx"].path(tmp_path).name == "student.onnx"
    row.write(dense_graph(), metadata("Tiny Net, 2"), tmp_path / "deep" / "c")
    files = sorted(p.name for p in (tmp_path / "deep" / "c").iterdir())
    assert files == ["edgedistill_tiny_net_2.c", "edgedistill_tiny_net_2.h"]


def test_equal_graphs_give_equal_texts() -> None:
    assert c.to_text(small_integer_graph(1), metadata("x")) == c.to_text(
        small_integer_graph(1), metadata("x")
    )


def test_only_the_kernels_that_a_model_uses() -> None:
    source = c.to_text(dense_graph(), metadata("x")).source
    assert "edge_dense(" in source
    for name in ("edge_conv", "edge_depthwise", "edge_add", "edge_mul", "edge_table", "edge_copy"):
        assert name not in source


def test_kernels_stand_after_what_they_need() -> None:
    order = list(KERNELS)
    assert all(order.index(need) < order.index(name) for name, k in KERNELS.items() for need in k.needs)
    assert len(sources(["conv", "conv_add"])) == 14


def test_two_models_in_one_program_and_cpp(tmp_path: Path) -> None:
    """The names of two models never meet, and the header suits C++."""
    for name in ("left", "right"):
        c.write(small_integer_graph(2), metadata(name, ("ox-eye daisy", 'Gänse"?\\blümchen')), tmp_path)
    files = [HERE / "two_models.c", tmp_path / "edgedistill_left.c", tmp_path / "edgedistill_right.c"]
    compile_c(tmp_path / "both", files, [*WARNINGS, "-Os", f"-I{tmp_path}"])
    done = subprocess.run([tmp_path / "both"], capture_output=True, timeout=10, check=True)
    assert done.stdout.decode() == 'Gänse"?\\blümchen 1'
    if shutil.which("g++"):
        command = ["g++", "-Wall", "-Wextra", "-Werror", f"-I{tmp_path}", "-c", str(HERE / "header.cpp")]
        subprocess.run([*command, "-o", str(tmp_path / "header.o")], check=True)


def test_input_and_output_may_lie_in_the_arena(tmp_path: Path) -> None:
    c.write(small_integer_graph(4), metadata("in"), tmp_path)
    files = [HERE / "in_arena.c", tmp_path / "edgedistill_in.c"]
    compile_c(tmp_path / "in", files, [*WARNINGS, "-O1", f"-I{tmp_path}"])
    assert subprocess.run([tmp_path / "in"], timeout=10, check=False).returncode == 0


def test_fused_and_in_place_values_need_a_smaller_arena() -> None:
    net = Builder("residual", 0)
    x = net.conv(net.input((1, 16, 16, 4)), 16, scale=0.02)
    net.add(net.conv(net.conv(x, 16), 16, scale=0.02), x, 255, 255)
    graph = net.graph()
    values = 16 * 16 * 16
    assert arena(graph).peak == 3 * values
    scratch = 3 * 2 * 9 * 16 + 3 * 16  # three columns of int16, three pixels
    assert c.memory(graph).peak == 2 * values + scratch


def test_identifiers_and_strings() -> None:
    assert text.identifier("edgedistill student") == "student" and text.identifier("...") == "model"
    assert text.comment("a */ b\n/* c") == "a * / b / * c"
    assert text.string('a"\\é') == '"a\\042\\134\\303\\251"'


def test_a_float_graph_is_refused() -> None:
    with pytest.raises(InputError, match="this graph is float32"):
        c.to_text(small_float_graph(0), metadata("x"))


def test_two_outputs_are_refused() -> None:
    graph = integer_cases(0)["add_odd"]
    with pytest.raises(InputError, match="one input and one output, this graph 1 and 2"):
        c.to_text(graph.replace(outputs=(*graph.outputs, graph.ops[0].outputs[0])), metadata("x"))


def test_sums_past_int32_are_refused() -> None:
    graph = dense_graph()
    bias = graph.tensors["op0_b"]
    huge = Tensor(bias.name, bias.shape, "int32", bias.quant, np.full(3, 2**31 - 5, np.int32))
    with pytest.raises(InputError, match="a sum may reach 2,147,"):
        c.to_text(graph.with_tensors(huge), metadata("x"))


def test_scales_too_far_apart_are_refused() -> None:
    net = Builder("far", 0)
    x = net.input((1, 2, 2, 1), 1.0)
    net.add(x, net.conv(x, 1, scale=1e-9), 1, 1)
    with pytest.raises(UnsupportedOpError, match=r"further than 2\*\*24 apart"):
        c.to_text(net.graph(), metadata("x"))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="the C files cannot be written"):
        c.write(dense_graph(), metadata("x"), tmp_path / "file" / "c")
