"""Operators cut out of a graph answer as they do inside it; the float twin has the same real answers."""

import numpy as np
import pytest

from edgedistill.ir import interpret
from edgedistill.ir.single import float_twin, single
from edgedistill.ir.verify import check
from tests.graphs import integer_cases, random_input, small_integer_graph

CASES = integer_cases(0)


@pytest.mark.parametrize("name", CASES)
def test_an_operator_alone_answers_as_inside_its_graph(name: str) -> None:
    graph = CASES[name]
    inside = interpret.run(graph, {graph.inputs[0]: random_input(graph, 2)}, keep=True)
    for op in graph.ops:
        alone = single(graph, op)
        read = {n for n in op.inputs if graph.tensors[n].data is None}
        if alone is None:
            assert len({graph.tensors[n].shape for n in read}) > 1
        elif len(read) == 1:
            x = next(iter(read))
            answer = interpret.run(alone, {alone.inputs[0]: inside[x]})[op.outputs[0]]
            np.testing.assert_array_equal(answer, inside[op.outputs[0]])


def test_the_float_twin_is_a_float_graph_near_the_integer_one() -> None:
    graph = small_integer_graph(0)
    twin = float_twin(graph)
    check(twin)
    assert not twin.is_integer
    assert [op.kind for op in twin.ops] == [op.kind for op in graph.ops]
    q = random_input(graph, 2)
    x, y = graph.tensors[graph.inputs[0]].quant, graph.tensors[graph.outputs[0]].quant
    assert x is not None and y is not None
    real = (x.scale[0] * (q.astype(np.float32) - x.zero_point)).astype(np.float32)
    expected = interpret.run(twin, {twin.inputs[0]: real})[twin.outputs[0]]
    got = y.scale[0] * (
        interpret.run(graph, {graph.inputs[0]: q})[graph.outputs[0]].astype(np.float32) - y.zero_point
    )
    low, high = y.scale[0] * (-128 - y.zero_point), y.scale[0] * (127 - y.zero_point)
    assert np.abs(got - np.clip(expected, low, high)).max() < 12 * y.scale[0]
