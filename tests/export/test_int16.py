"""int16 in the runtimes: LiteRT in all its kernels and ONNX Runtime at all levels, every value inside too."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgedistill.bench.reference import litert_reference_values
from edgedistill.errors import UnsupportedOpError
from edgedistill.export import coreml, exportable, onnx, tflite
from edgedistill.export.metadata import Metadata
from edgedistill.export.onnx_int16 import digit_bits
from edgedistill.ir.graph import Graph, Op, QParams, Tensor
from edgedistill.ir.interpret import run
from edgedistill.ir.ops import Act, Attrs, Conv2D, DepthwiseConv2D, FullyConnected, Quantize
from edgedistill.ir.verify import check, inexact
from edgedistill.runners.litert import LiteRt
from edgedistill.runners.ort import Ort
from tests.graphs import random_input
from tests.int16_graphs import mixed

META = Metadata("n", "d", (), 1 / 64, 0, "1.0")


def inputs(graph: Graph, seed: int = 0) -> NDArray[np.int8]:
    """Random values, and both ends of the range."""
    x = np.asarray(random_input(graph, 8, seed), np.int8)
    x[0], x[1] = -128, 127
    return x


def same(
    runtime: LiteRt | Ort, graph: Graph, expected: dict[str, NDArray[np.int8]], x: NDArray[np.int8]
) -> None:
    shown = runtime.run_all(x)
    compared = [name for name in graph.activations() if name in shown]
    assert graph.outputs[0] in compared and len(compared) >= len(graph.ops)
    for name in compared:
        np.testing.assert_array_equal(shown[name].astype(np.int32), expected[name], err_msg=name)
    np.testing.assert_array_equal(runtime.run(x), expected[graph.outputs[0]])


@pytest.mark.parametrize("seed", range(6))
def test_every_value_is_the_interpreters(seed: int) -> None:
    graph = mixed(seed)
    check(graph)
    assert inexact(graph) == ()
    x = inputs(graph, seed)
    expected = run(graph, {graph.inputs[0]: x}, keep=True)
    file = tflite.to_bytes(graph, META)
    same(LiteRt(file), graph, expected, x)
    same(LiteRt(file, reference=True), graph, litert_reference_values(graph, x), x)
    printed = onnx.to_bytes(graph, META)
    same(Ort(printed), graph, expected, x)
    same(Ort(printed, level="disabled"), graph, expected, x)


def layer(kind: str, seed: int, channels: int, act: Act, bias: int) -> Graph:
    """One weighted layer over the whole range of int16, with sums that saturate or not."""
    rng = np.random.default_rng(seed)
    s_x, s_y = (np.array([v], np.float32) for v in rng.uniform(1e-5, 1e-3, 2))
    out = channels if kind == "depthwise" else int(rng.integers(1, 6))
    attrs: Attrs
    if kind == "dense":
        shape, weights, answer, attrs = (1, channels), (out, channels), (1, out), FullyConnected(act)
    elif kind == "depthwise":
        shape, weights = (1, 5, 4, channels), (1, 3, 2, channels)
        answer, attrs = (1, 2, 3, out), DepthwiseConv2D((2, 1), (1, 0, 0, 0), act)
    else:
        shape, weights = (1, 5, 4, channels), (out, 3, 3, channels)
        answer, attrs = (1, 5, 4, out), Conv2D((1, 1), (1, 1, 1, 1), act)
    spread = 10.0 ** rng.uniform(-2, 2)  # of outputs, against int16's range
    fan_in = int(np.prod(weights)) // out
    s_w = (s_y / s_x * spread / np.sqrt(fan_in) / 73 * rng.uniform(0.5, 1.5, out)).astype(np.float32)
    axis = 3 if kind == "depthwise" else 0
    tensors = (
        Tensor("x8", shape, "int8", QParams(s_x * np.float32(257), -128)),
        Tensor("x", shape, "int16", QParams(s_x, 0, bits=16)),
        Tensor("w", weights, "int8", QParams(s_w, 0, axis), rng.integers(-127, 128, weights).astype(np.int8)),
        Tensor(
            "b",
            (out,),
            "int32",
            QParams(s_x * s_w, 0, 0),
            rng.integers(-bias, bias + 1, out).astype(np.int32),
        ),
        Tensor("y", answer, "int16", QParams(s_y, 0, bits=16)),
        Tensor("y8", answer, "int8", QParams(s_y, 0)),
    )
    ops = (
        Op("wide", Quantize(), ("x8",), ("x",)),
        Op("layer", attrs, ("x", "w", "b"), ("y",)),
        Op("narrow", Quantize(), ("y",), ("y8",)),
    )
    return Graph("layer", {t.name: t for t in tensors}, ops, ("x8",), ("y8",))


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["conv", "depthwise", "dense"]),
    st.integers(0, 10**6),
    st.integers(1, 150),
    st.sampled_from(["none", "relu", "relu6"]),
    st.sampled_from([0, 1000, 2**24, 2**30]),
)
def test_one_layer_of_any_size_and_scale(kind: str, seed: int, channels: int, act: Act, bias: int) -> None:
    graph = layer(kind, seed, channels, act, bias)
    check(graph)
    x = inputs(graph, seed)
    expected = run(graph, {"x8": x}, keep=True)
    same(LiteRt(tflite.to_bytes(graph, META)), graph, expected, x)
    same(Ort(onnx.to_bytes(graph, META)), graph, expected, x)


def one_weight(bias: int) -> Graph:
    """A multiplier of 1 and a weight of 127: the result is the sum, 32767 * 127 and the bias at most."""
    graph = layer("dense", 0, 1, "none", 0)
    one, x, out = (
        QParams(np.ones(1, np.float32), 0, axis, bits) for axis, bits in ((0, 8), (None, 16), (None, 16))
    )
    parts = {
        "x8": replace(graph.tensors["x8"], quant=QParams(np.array([257], np.float32), -128)),
        "x": replace(graph.tensors["x"], quant=x),
        "w": Tensor("w", (1, 1), "int8", one, np.full((1, 1), 127, np.int8)),
        "b": Tensor("b", (1,), "int32", one, np.full(1, bias, np.int32)),
        "y": Tensor("y", (1, 1), "int16", out),
        "y8": Tensor("y8", (1, 1), "int8", QParams(np.ones(1, np.float32), 0)),
    }
    return graph.with_tensors(*parts.values())


@pytest.mark.parametrize("over", [False, True])
def test_results_past_int32_wrap_in_litert_and_are_inexact(over: bool) -> None:
    bias = 2**31 - 1 - (0 if over else 2**15 * 127)
    graph = one_weight(bias)
    check(graph)
    found = [why for _, why in inexact(graph) if "LiteRT narrows it to int32 first" in why]
    assert len(found) == over and all(str(bias + 2**15 * 127) in why for why in found)
    pixels = np.array([[-128], [127]], np.int8)
    right = run(graph, {"x8": pixels})["y8"]
    assert right.tolist() == [[127], [127]]
    litert = LiteRt(tflite.to_bytes(graph, META)).run(pixels)
    assert litert.tolist() == ([[127], [-128]] if over else [[127], [127]])
    np.testing.assert_array_equal(Ort(onnx.to_bytes(graph, META)).run(pixels), right)


def test_digits_are_as_wide_as_float32_allows() -> None:
    assert digit_bits(511) == 16  # 511 * 2**15 < 2**24
    assert digit_bits(512) == 8
    assert digit_bits(2**17 - 1) == 8 and digit_bits(2**17) == 6
    assert digit_bits(127 * 20_000) == 3


def test_formats_that_cannot_hold_int16_say_so(tmp_path: Path) -> None:
    graph = mixed(1)
    assert exportable(("onnx", "coreml", "tflite"), graph) == ("onnx", "tflite")
    with pytest.raises(UnsupportedOpError, match="Core ML model cannot hold int16"):
        coreml.write(graph, META, tmp_path / "m.mlpackage")
    with pytest.raises(UnsupportedOpError, match="QDQ form cannot hold int16"):
        onnx.to_bytes(graph, META, "qdq")
