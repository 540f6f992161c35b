"""ONNX Runtime against the interpreter: every value of every layer, at every level and thread count."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from edgedistill.errors import InputError
from edgedistill.export import onnx
from edgedistill.export.metadata import Metadata
from edgedistill.ir import interpret
from edgedistill.ir.graph import Graph
from edgedistill.runners.ort import Level, Ort
from tests import graphs

META = Metadata("small", "a test model", ("a", "b"), 1 / 64, 0, "0.1.0")
LEVELS: tuple[Level, ...] = ("disabled", "basic", "extended", "all")


def differing(graph: Graph, runner: Ort, batch: int, seed: int = 0) -> dict[str, int]:
    """Tensor name -> how many of its values differ from the interpreter's."""
    x = graphs.random_input(graph, batch, seed)
    wanted = interpret.run(graph, {graph.inputs[0]: x}, family="F", keep=True)
    got = runner.run_all(x)
    assert set(got) == set(wanted) == set(graph.activations())
    for name, value in wanted.items():
        assert got[name].dtype == value.dtype == np.int8 and got[name].shape == value.shape, name
    np.testing.assert_array_equal(runner.run(x), got[graph.outputs[0]])
    return {name: int((got[name] != v).sum()) for name, v in wanted.items() if (got[name] != v).any()}


@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("level", LEVELS)
def test_qlinear_equals_the_interpreter_in_every_layer(level: Level, threads: int, batch: int) -> None:
    for seed in range(3):
        graph = graphs.small_integer_graph(seed)
        runner = Ort(onnx.to_bytes(graph, META), threads=threads, level=level)
        assert differing(graph, runner, batch, seed) == {}


@pytest.mark.parametrize("name", sorted(graphs.integer_cases(0)))
def test_qlinear_equals_the_interpreter_in_every_operator(name: str) -> None:
    graph = graphs.integer_cases(1)[name]
    for level in LEVELS:
        assert differing(graph, Ort(onnx.to_bytes(graph, META), level=level), batch=3) == {}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("level", ["extended", "all"])
def test_qdq_equals_the_interpreter_when_int8_is_allowed(level: Level, threads: int) -> None:
    for seed in range(3):
        graph = graphs.small_integer_graph(seed)
        runner = Ort(onnx.to_bytes(graph, META, "qdq"), threads=threads, level=level, qdq_int8=True)
        for batch in (1, 16):
            assert differing(graph, runner, batch, seed) == {}


@pytest.mark.parametrize("name", sorted(graphs.integer_cases(0)))
def test_qdq_equals_the_interpreter_in_every_operator(name: str) -> None:
    graph = graphs.integer_cases(1)[name]
    assert differing(graph, Ort(onnx.to_bytes(graph, META, "qdq"), qdq_int8=True), batch=3) == {}


def test_a_changed_weight_shows_in_the_layer_that_has_it_and_after() -> None:
    graph = graphs.small_integer_graph(0)
    w = graph.tensors["op3_w"]
    data = w.data.copy()
    data[...] = -data
    changed = graph.with_tensors(type(w)(w.name, w.shape, w.dtype, w.quant, data))
    found = differing(graph, Ort(onnx.to_bytes(changed, META)), batch=2)
    names = list(graph.activations())
    assert next(n for n in names if n in found) == graph.ops[3].outputs[0]


def test_float_graph_equals_the_interpreter_within_rounding() -> None:
    graph = graphs.small_float_graph(0)
    x = graphs.random_input(graph, 4)
    wanted = interpret.run(graph, {graph.inputs[0]: x}, keep=True)
    got = Ort(onnx.to_bytes(graph, META)).run_all(x)
    assert set(got) == set(wanted)
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, rtol=0, atol=2e-5 * max(1.0, float(abs(value).max())))


def test_latency_gives_one_positive_time_per_run(tmp_path: Path) -> None:
    graph = graphs.integer_cases(0)["dense"]
    onnx.write(graph, META, tmp_path / "m.onnx")
    times_ms = Ort(tmp_path / "m.onnx").latency_ms(graphs.random_input(graph, 1), runs=7, warmup=2)
    assert times_ms.shape == (7,) and (times_ms > 0).all() and times_ms.max() < 1000


def test_a_corrupt_file_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(onnx.to_bytes(graphs.integer_cases(0)["dense"], META)[:200])
    with pytest.raises(InputError, match=r"cannot load this model(.|\n)*broken\.onnx"):
        Ort(path)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read(.|\n)*none\.onnx"):
        Ort(tmp_path / "none.onnx")


@pytest.mark.parametrize(
    "x", [np.zeros((2, 24), np.float32), np.zeros((2, 23), np.int8), np.zeros(24, np.int8)]
)
def test_an_input_of_another_type_or_shape_is_an_input_error(x: np.ndarray) -> None:
    runner = Ort(onnx.to_bytes(graphs.integer_cases(0)["dense"], META))
    with pytest.raises(InputError, match=r"takes int8 \[N,24\], not (float32|int8) \["):
        runner.run(x)


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match="pip install onnxruntime"):
        Ort(b"")


@pytest.mark.parametrize("form", ["qlinear", "qdq"])
def test_four_dimensional_outputs_that_are_also_used_inside(form: onnx.Form) -> None:
    net = graphs.Builder("three outputs", 0)
    conv = net.conv(net.input((1, 8, 8, 3)), 4, scale=0.02)
    twice = net.add(conv, conv, 1, 1)  # the same operand twice
    curved = net.table(twice, "gelu", 0.03, -100)
    graph = net.graph(net.dense(net.reshape(curved), 5), conv, curved)
    assert differing(graph, Ort(onnx.to_bytes(graph, META, form), qdq_int8=True), batch=3) == {}
