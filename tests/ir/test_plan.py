"""Counts against figures worked out by hand, and arena plans in which no two living tensors meet."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistill.ir.graph import Graph, Op, Tensor
from edgedistill.ir.ops import Add, Reshape, Table
from edgedistill.ir.plan import ALIGNMENT_BYTES, ArenaPlan, Step, arena, macs, parameters, weight_bytes
from tests.graphs import Builder, small_float_graph, small_integer_graph


def test_costs_by_hand() -> None:
    net = Builder("hand", 0)
    x = net.conv(net.input((1, 8, 8, 3)), 4, stride=(2, 2))  # 4x4 outputs of 4 channels, 27 products each
    x = net.depthwise(x)  # 4x4x4 outputs, 9 products each
    x = net.table(x, "tanh", 1 / 127, 0)
    net.dense(net.reshape(net.average(x)), 5)  # 4 channels over 16 pixels; 5 x 4
    graph = net.graph()
    assert list(macs(graph).values()) == [4 * 4 * 4 * 27, 4 * 4 * 4 * 9, 0, 16 * 4, 0, 20]
    learned = (4 * 27 + 4) + (4 * 9 + 4) + (5 * 4 + 5)
    assert parameters(graph) == learned  # neither the table nor the average's kernel
    weights, biases = 4 * 27 + 4 * 9 + 16 * 4 + 5 * 4, 4 + 4 + 4 + 5
    assert weight_bytes(graph) == weights + 4 * biases + 256


def overlaps(plan: ArenaPlan, graph: Graph) -> list[tuple[str, str]]:
    """Pairs of tensors that live at once and share bytes, other than a RESHAPE's two sides."""
    same: dict[str, str] = {}
    for op in graph.ops:
        if op.kind == "RESHAPE":
            same[op.outputs[0]] = same.get(op.inputs[0], op.inputs[0])
    return [
        (a.name, b.name)
        for i, a in enumerate(plan.tensors)
        for b in plan.tensors[:i]
        if same.get(a.name, a.name) != same.get(b.name, b.name)
        and a.first <= b.last
        and b.first <= a.last
        and a.offset < b.offset + b.size
        and b.offset < a.offset + a.size
    ]


@pytest.mark.parametrize("make", [small_integer_graph, small_float_graph])
def test_no_living_tensors_meet(make: object) -> None:
    graph: Graph = make(0)  # type: ignore[operator]
    plan = arena(graph)
    assert overlaps(plan, graph) == []
    assert [p.name for p in plan.tensors] == list(graph.activations())
    assert plan.lower_bound <= plan.peak <= 1.5 * plan.lower_bound
    assert plan.peak >= max(p.offset + p.size for p in plan.tensors)


def test_a_chain_needs_its_two_largest_neighbours() -> None:
    sizes = (160, 320, 64, 16)
    tensors = {f"t{i}": Tensor(f"t{i}", (1, size), "int8") for i, size in enumerate(sizes)}
    ops = tuple(Op(f"o{i}", Table(), (f"t{i}",), (f"t{i + 1}",)) for i in range(3))
    plan = arena(Graph("chain", tensors, ops, ("t0",), ("t3",)))
    assert plan.peak == plan.lower_bound == 160 + 320
    assert [(p.first, p.last) for p in plan.tensors] == [(0, 0), (0, 1), (1, 2), (2, 2)]


def test_sizes_are_aligned_and_float_values_take_four_bytes() -> None:
    tensors = {n: Tensor(n, (1, 5), "float32") for n in ("x", "y")}
    plan = arena(Graph("pair", tensors, (Op("o", Table(), ("x",), ("y",)),), ("x",), ("y",)))
    assert [p.size for p in plan.tensors] == [20, 20]
    assert plan.peak == 64 and all(p.offset % ALIGNMENT_BYTES == 0 for p in plan.tensors)


def test_a_reshape_shares_bytes_and_prolongs_their_life() -> None:
    tensors = {n: Tensor(n, (1, 64), "int8") for n in ("x", "flat", "y", "z")}
    ops = (
        Op("flatten", Reshape(), ("x",), ("flat",)),
        Op("one", Table(), ("x",), ("y",)),
        Op("two", Add(), ("y", "flat"), ("z",)),
    )
    plan = arena(Graph("share", tensors, ops, ("x",), ("z",)))
    x, flat, *_ = plan.tensors
    assert x.offset == flat.offset and (x.first, x.last) == (flat.first, flat.last) == (0, 2)
    assert plan.peak == 3 * 64


def test_outputs_live_to_the_end() -> None:
    tensors = {n: Tensor(n, (1, 16), "int8") for n in ("x", "early", "a", "b")}
    ops = (
        Op("1", Table(), ("x",), ("early",)),
        Op("2", Table(), ("x",), ("a",)),
        Op("3", Table(), ("a",), ("b",)),
    )
    plan = arena(Graph("early", tensors, ops, ("x",), ("early", "b")))
    assert {p.name: p.last for p in plan.tensors} == {"x": 1, "early": 2, "a": 2, "b": 2}
    assert plan.peak == 48


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 14))
def test_random_graphs_are_planned_without_a_clash(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    tensors = {f"t{i}": Tensor(f"t{i}", (1, int(rng.integers(1, 400))), "int8") for i in range(count + 1)}
    ops = tuple(
        Op(f"o{i}", Add(), (f"t{rng.integers(0, i + 1)}", f"t{rng.integers(0, i + 1)}"), (f"t{i + 1}",))
        for i in range(count)
    )
    graph = Graph("random", tensors, ops, ("t0",), (f"t{count}",))
    plan = arena(graph)
    assert overlaps(plan, graph) == []
    assert plan.lower_bound <= plan.peak <= sum(t.size_bytes + 15 for t in tensors.values())


def residual() -> Graph:
    tensors = {n: Tensor(n, (1, 64), "int8") for n in ("x", "a", "b", "y", "z")}
    ops = (
        Op("1", Table(), ("x",), ("a",)),
        Op("2", Table(), ("a",), ("b",)),
        Op("3", Add(), ("b", "a"), ("y",)),
        Op("4", Table(), ("y",), ("z",)),
    )
    return Graph("residual", tensors, ops, ("x",), ("z",))


def test_steps_hide_values_and_bring_scratch_bytes() -> None:
    graph = residual()
    one, two, three, four = graph.ops
    plan = arena(graph, (Step((one,)), Step((two, three), scratch=10), Step((four,))))
    rows = {p.name: p for p in plan.tensors}
    assert "b" not in rows and (rows["a"].first, rows["a"].last) == (0, 1)
    assert rows["3/scratch"].size == 10 and (rows["3/scratch"].first, rows["3/scratch"].last) == (1, 1)
    assert overlaps(plan, graph) == [] and plan.peak == 64 + 64 + 16


def test_an_output_takes_the_bytes_of_an_input_that_nothing_else_reads() -> None:
    graph = residual()
    one, two, three, four = graph.ops
    steps = (Step((one,), ("x",)), Step((two,), ("a",)), Step((three,), ("b", "a")), Step((four,), ("y",)))
    plan = arena(graph, steps)
    at = {p.name: p.offset for p in plan.tensors}
    assert at["x"] != at["a"]  # the caller's input stays as it is
    assert at["a"] != at["b"]  # read again by the ADD
    assert at["b"] == at["y"] == at["z"] and plan.peak == 2 * 64


def test_a_fused_step_does_not_overwrite_what_its_first_operator_reads() -> None:
    graph = residual()
    one, two, three, four = graph.ops
    plan = arena(graph, (Step((one,)), Step((two, three), ("a",)), Step((four,))))
    at = {p.name: p.offset for p in plan.tensors}
    assert at["a"] != at["y"]
