"""Layers in int16: which can be, what stands at the borders, and that training computes what is deployed."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgedistill.errors import UnknownNameError, UnsupportedOpError
from edgedistill.ir import ops, serial
from edgedistill.ir.graph import Graph
from edgedistill.ir.interpret import run
from edgedistill.ir.text import text
from edgedistill.ir.verify import inexact
from edgedistill.quant import int16, ranges
from edgedistill.quant.execute import GraphNet, Shadow
from edgedistill.quant.integer import to_integer
from tests.graphs import Builder
from tests.int16_graphs import floating, mixed

RNG = np.random.default_rng(5)


def images(graph: Graph, count: int = 12) -> NDArray[np.int8]:
    return RNG.integers(-128, 128, (count, *graph.tensors[graph.inputs[0]].shape[1:])).astype(np.int8)


def real(pixels: NDArray[np.int8]) -> NDArray[np.float32]:
    return pixels.astype(np.float32) / 64


def quantised(graph: Graph, layers: Sequence[str], pixels: NDArray[np.int8]) -> GraphNet:
    return GraphNet(*int16.quantised(graph, ranges.observe(graph, real(pixels), 99.9), layers))


def able(graph: Graph) -> list[str]:
    return [name for name, why in int16.candidates(graph).items() if why is None]


def answers(net: GraphNet, pixels: NDArray[np.int8]) -> NDArray[np.float32]:
    with torch.no_grad():
        return np.asarray(net(torch.from_numpy(real(pixels)).permute(0, 3, 1, 2)).numpy())


@pytest.mark.parametrize("seed", range(8))
def test_torch_equals_the_interpreter_for_any_choice_of_layers(seed: int) -> None:
    graph = floating(seed)
    pixels = images(graph)
    layers = [name for name in able(graph) if np.random.default_rng((seed, 3)).random() < 0.5]
    net = quantised(graph, layers, pixels)
    integer = to_integer(net.trained(), net.deployed(), net.weight_scales())
    assert inexact(integer) == ()
    assert any(map(integer.is_int16, integer.ops)) == bool(layers)
    expected = run(integer, {graph.inputs[0]: pixels})[graph.outputs[0]]
    quant = integer.tensors[graph.outputs[0]].quant
    assert quant is not None and expected.dtype == np.int8
    steps = (expected.astype(np.float32) - quant.zero_point) * quant.scale[0]
    np.testing.assert_array_equal(answers(net, pixels), steps)
    np.testing.assert_array_equal(answers(Shadow(integer), pixels), steps)


def test_no_layer_changes_nothing() -> None:
    graph = floating(1)
    pixels = images(graph)
    observed = ranges.observe(graph, real(pixels), 99.9)
    alone = to_integer(graph, ranges.choose(graph, observed))
    assert serial.to_bytes(to_integer(*int16.quantised(graph, observed, ()))) == serial.to_bytes(alone)


def test_what_is_between_two_convolutions_is_int16_and_the_rest_is_not() -> None:
    net = Builder("two", 0, integer=False)
    first = net.conv(net.input((1, 6, 6, 3)), 4, act="relu")
    graph = net.graph(net.conv(first, 5))
    pixels = images(graph)
    made = quantised(graph, [first], pixels)
    integer = to_integer(made.trained(), made.deployed())
    kinds = [(op.kind, [integer.tensors[n].dtype for n in (op.inputs[0], *op.outputs)]) for op in integer.ops]
    assert kinds == [
        ("QUANTIZE", ["int8", "int16"]),
        ("CONV_2D", ["int16", "int16"]),
        ("CONV_2D", ["int16", "int16"]),
        ("QUANTIZE", ["int16", "int8"]),
    ]
    assert "int8 with 3 tensors in int16" in text(integer)


def test_more_layers_in_int16_come_nearer_to_float() -> None:
    """Through a deep chain: what is left is the rounding of the weights and of the answer."""
    graph = floating(9)
    pixels = images(graph, 40)
    right = run(graph, {graph.inputs[0]: real(pixels)})[graph.outputs[0]]

    def error(layers: Sequence[str]) -> float:
        # float weights that int8 holds exactly would be needed to remove the weights' part; compare instead
        return float(np.square(answers(quantised(graph, layers, pixels), pixels) - right).mean())

    assert error(able(graph)) < 0.8 * error(())


def test_gradients_pass_int16_layers() -> None:
    graph = floating(3)
    pixels = images(graph)
    net = quantised(graph, able(graph), pixels)
    net(torch.from_numpy(real(pixels)).permute(0, 3, 1, 2)).square().sum().backward()
    gradients = [p.grad for p in net.parameters() if p.requires_grad]
    assert all(g is not None and torch.isfinite(g).all() and g.abs().sum() > 0 for g in gradients[:2])


def test_globs_take_what_can_be_int16() -> None:
    graph = floating(4)  # has a maximum
    layers = int16.selected(graph, ["add_*", "conv_2d_0"])
    assert layers and set(layers) <= set(able(graph)) and "conv_2d_0" in layers
    assert list(layers) == [op.name for op in graph.ops if op.name in layers]


def test_unknown_layers_are_named_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"no layer named 'conv_2d_00'[\s\S]*did you mean conv_2d_0"):
        int16.selected(floating(0), ["conv_2d_00"])
    with pytest.raises(UnknownNameError, match=r"'nothing_\*'"):
        int16.selected(floating(0), ["nothing_*"])


def test_what_cannot_be_int16_is_refused_with_the_reason() -> None:
    graph = floating(4)
    with pytest.raises(UnsupportedOpError, match="network's answer, which is int8"):
        int16.selected(graph, [graph.ops[-1].name])
    pool = next(op for op in graph.ops if isinstance(op.attrs, ops.MaxPool2D))
    before = graph.producer(pool.inputs[0])
    assert before is not None
    with pytest.raises(UnsupportedOpError, match=rf"{pool.name} \(MAX_POOL_2D\) works on its output"):
        int16.selected(graph, [before.name])
    with pytest.raises(UnsupportedOpError, match=r"no layer like 'max_\*'"):
        int16.selected(graph, ["max_*"])


def test_the_graph_survives_its_file(tmp_path: object) -> None:
    from pathlib import Path

    graph = mixed(2)
    file = Path(str(tmp_path)) / "graph.npz"
    file.write_bytes(serial.to_bytes(graph))
    again = serial.load(file)
    pixels = images(graph)
    assert serial.to_bytes(again) == serial.to_bytes(graph)
    for name, value in run(graph, {graph.inputs[0]: pixels}, keep=True).items():
        np.testing.assert_array_equal(run(again, {graph.inputs[0]: pixels}, keep=True)[name], value)


def test_both_families_have_one_int16() -> None:
    """Where all layers are int16 families differ in nothing."""
    graph = mixed(3, share=1.0)
    assert all(graph.is_int16(op) for op in graph.ops)
    pixels = images(graph)
    f, d = (run(graph, {graph.inputs[0]: pixels}, family, keep=True) for family in ("F", "D"))  # type: ignore[arg-type]
    for name in graph.activations():
        np.testing.assert_array_equal(f[name], d[name])
