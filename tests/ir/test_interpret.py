"""The interpreter against slow loops that follow the definition, against torch, and in batches."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from edgedistill.ir import ops
from edgedistill.ir.graph import Graph, Op
from edgedistill.ir.interpret import FUNCTIONS, accumulate, apply_function, run, run_batched
from tests.graphs import Builder, integer_cases, random_input, small_float_graph, small_integer_graph

CASES = integer_cases(3)


def slow_accumulator(
    op: Op, x: NDArray[np.int8], w: NDArray[np.int8], b: NDArray[np.int32], z: int
) -> NDArray[np.int64]:
    """Loops over output positions, in Python's integers."""
    wide, w64, attrs = x.astype(np.int64) - z, w.astype(np.int64), op.attrs
    if isinstance(attrs, ops.FullyConnected):
        return np.asarray(wide @ w64.T + b)
    assert isinstance(attrs, ops.Conv2D | ops.DepthwiseConv2D)
    (top, bottom, left, right), (sh, sw) = attrs.pads, attrs.stride
    padded = np.pad(wide, ((0, 0), (top, bottom), (left, right), (0, 0)))
    kh, kw = w.shape[1:3]
    rows = range(0, padded.shape[1] - kh + 1, sh)
    columns = range(0, padded.shape[2] - kw + 1, sw)
    letters = "nijc,ijc->nc" if isinstance(attrs, ops.DepthwiseConv2D) else "nijc,oijc->no"
    kernel = w64[0] if isinstance(attrs, ops.DepthwiseConv2D) else w64
    values = [[np.einsum(letters, padded[:, i : i + kh, j : j + kw], kernel) for j in columns] for i in rows]
    return np.asarray(np.array(values).transpose(2, 0, 1, 3) + b)


WEIGHTED = [
    k
    for k, g in CASES.items()
    if any(op.kind.endswith("CONV_2D") or op.kind == "FULLY_CONNECTED" for op in g.ops)
]


@pytest.mark.parametrize("name", WEIGHTED)
def test_weighted_operators_follow_their_definition(name: str) -> None:
    graph = CASES[name]
    values = run(graph, {graph.inputs[0]: random_input(graph, 3)}, keep=True)
    for op in graph.ops:
        if not isinstance(op.attrs, ops.Conv2D | ops.DepthwiseConv2D | ops.FullyConnected):
            continue
        x, w, b, y = (graph.tensors[n] for n in (*op.inputs, *op.outputs))
        assert x.quant and w.quant and y.quant and w.data is not None and b.data is not None
        acc = slow_accumulator(op, values[x.name], w.data, b.data, x.quant.zero_point)
        m = (x.quant.scale[0] * w.quant.scale) / y.quant.scale[0]
        assert m.dtype == np.float32
        expected = np.clip(np.rint(acc.astype(np.float32) * m) + y.quant.zero_point, -128, 127)
        np.testing.assert_array_equal(values[y.name], expected)
        assert values[y.name].dtype == np.int8 and len(np.unique(expected)) > 4


def test_padding_is_real_zero() -> None:
    net = Builder("pad", 0)
    net.conv(net.input((1, 4, 4, 2), 0.02, zero_point=9), 3)
    graph = net.graph()
    y = run(graph, {"image": np.full((1, 4, 4, 2), 9, np.int8)})[graph.outputs[0]]
    assert (y == y[:, :1, :1]).all()  # the image is real zero too, so borders look like the middle


@pytest.mark.parametrize(("length", "kind"), [(518, np.float32), (519, np.float64), (70_000, np.float64)])
def test_sums_are_exact_at_their_worst(length: int, kind: type) -> None:
    x = np.full((1, length), 127, np.int8)
    w = np.full((2, length), 127, np.int8)
    w[1, ::2] = -127
    b = np.array([0, 1], np.int32)
    acc = accumulate(ops.FullyConnected(), x, w, b, -128)
    assert acc.dtype == kind
    assert acc[0].astype(np.int64).tolist() == [length * 127 * 255, (length % 2) * -127 * 255 + 1]


def test_a_large_bias_is_added_exactly() -> None:
    acc = accumulate(
        ops.FullyConnected(), np.array([[1]], np.int8), np.array([[1]], np.int8), np.array([2**30 + 1]), 0
    )
    assert int(acc[0, 0]) == 2**30 + 2


def test_max_pool_ignores_padding_and_int8_minimum() -> None:
    graph = CASES["max_pool_padded"]
    x = np.full((1, 8, 8, 5), -128, np.int8)
    x[0, 0, 0, 0] = -5
    y = run(graph, {graph.inputs[0]: x})[graph.outputs[0]]
    assert y[0, 0, 0, 0] == -5 and (y.ravel()[1:] == -128).all()


def test_a_table_is_indexed_by_q_plus_128() -> None:
    graph = CASES["table_gelu"]
    table = graph.tensors[graph.ops[0].inputs[1]].data
    assert table is not None
    x = random_input(graph, 2)
    x.ravel()[:2] = (-128, 127)
    y = run(graph, {graph.inputs[0]: x})[graph.outputs[0]]
    assert y.ravel()[:2].tolist() == [table[0], table[255]]
    np.testing.assert_array_equal(y, table[x.astype(int) + 128])


@pytest.mark.parametrize("family", ["F", "D"])
def test_batches_change_no_bit(family: str) -> None:
    graph = small_integer_graph(1)
    x = {"image": random_input(graph, 7)}
    whole = run(graph, x, family, keep=True)  # type: ignore[arg-type]
    parts = run_batched(graph, x, family, keep=True, batch=3)  # type: ignore[arg-type]
    assert tuple(whole) == graph.activations() == tuple(parts)
    for name in whole:
        np.testing.assert_array_equal(whole[name], parts[name])


def test_only_outputs_without_keep() -> None:
    graph = small_integer_graph(2)
    assert tuple(run(graph, {"image": random_input(graph, 1)})) == graph.outputs


@pytest.mark.parametrize("name", CASES)
def test_families_differ_by_at_most_one_per_operator(name: str) -> None:
    graph = CASES[name]
    for op in graph.ops[:1]:
        first = graph.replace(ops=(op,), outputs=op.outputs)
        x = {graph.inputs[0]: random_input(graph, 16)}
        f, d = (run(first, x, family)[op.outputs[0]].astype(int) for family in ("F", "D"))
        assert np.abs(f - d).max() <= 1 and (f != d).mean() < 0.02


def test_a_float_graph_equals_torch() -> None:
    net = Builder("float", 0, integer=False)
    x = net.input((1, 9, 9, 3))
    a = net.conv(x, 6, kernel=3, stride=(2, 2), act="relu6")
    b = net.depthwise(a, act="relu")
    net.dense(net.reshape(net.average(net.add(a, b, 1, 1, act="none"))), 4)
    graph = net.graph()
    image = random_input(graph, 5) * 4
    got = run(graph, {"image": image})[graph.outputs[0]]
    w = {t.name: torch.from_numpy(np.array(t.data)) for t in graph.tensors.values() if t.data is not None}
    conv, depthwise, add, average, _, dense = graph.ops
    y = F.conv2d(
        torch.from_numpy(image).permute(0, 3, 1, 2),
        w[conv.inputs[1]].permute(0, 3, 1, 2),
        w[conv.inputs[2]],
        2,
        1,
    )
    y = F.relu6(y)
    y = y + F.relu(
        F.conv2d(y, w[depthwise.inputs[1]].permute(3, 0, 1, 2), w[depthwise.inputs[2]], 1, 1, groups=6)
    )
    y = y * w[average.inputs[1]][0, 0, 0, 0] * 25
    y = F.linear(y.mean((2, 3)) + w[average.inputs[2]], w[dense.inputs[1]], w[dense.inputs[2]])
    assert add.kind == "ADD" and got.dtype == np.float32
    np.testing.assert_allclose(got, y.numpy(), rtol=2e-5, atol=2e-5)


def test_a_float_graph_of_every_operator_runs() -> None:
    graph = small_float_graph(0)
    values = run(graph, {"image": random_input(graph, 2)}, keep=True)
    for name, value in values.items():
        assert value.dtype == np.float32 and value.shape[1:] == graph.tensors[name].shape[1:]
        assert np.isfinite(value).all()


@pytest.mark.parametrize("fn", FUNCTIONS)
def test_functions_are_torchs(fn: str) -> None:
    alpha = 0.3 if fn in ("elu", "leaky_relu") else 0.0
    x = np.concatenate([np.linspace(-9, 9, 1001), [-1000.0, 1000.0, 0.0]])
    torchs = getattr(torch, fn, None) or getattr(F, fn)
    given = torch.from_numpy(x)
    expected = torchs(given, alpha) if alpha else torchs(given)
    got = apply_function(ops.Table(fn, alpha), x)  # type: ignore[arg-type]
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-12, atol=1e-14)
    assert apply_function(ops.Table(fn, alpha), x.astype(np.float32)).dtype == np.float32  # type: ignore[arg-type]


def test_wrong_inputs_are_named() -> None:
    graph: Graph = CASES["dense"]
    with pytest.raises(AssertionError, match="float32, not int8"):
        run(graph, {"image": np.zeros((1, 24), np.float32)})
    with pytest.raises(AssertionError, match=r"\(23,\) values, not \(24,\)"):
        run(graph, {"image": np.zeros((1, 23), np.int8)})
    with pytest.raises(AssertionError, match="inputs are"):
        run(graph, {"picture": np.zeros((1, 24), np.int8)})
