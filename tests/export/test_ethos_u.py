"""Strides are changed only where a window has a single position, and no value changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedistill.export import ethos_u
from edgedistill.ir import interpret, verify
from edgedistill.ir.graph import Graph
from edgedistill.ir.ops import Conv2D, DepthwiseConv2D
from tests.graphs import integer_cases, random_input


def strided(graph: Graph) -> Graph:
    """The mean over all positions with its kernel as its stride, as torch's pooling is traced."""
    (op,) = graph.ops
    assert isinstance(op.attrs, DepthwiseConv2D)
    return graph.replace(ops=(replace(op, attrs=replace(op.attrs, stride=(8, 8))),))


CASES = {**integer_cases(1), "strided": strided(integer_cases(1)["average_8x8"])}


@pytest.mark.parametrize("name", CASES)
def test_no_value_changes(name: str) -> None:
    graph = CASES[name]
    changed = ethos_u.one_step(graph)
    verify.check(changed)
    x = random_input(graph, 4)
    before, after = (interpret.run(g, {g.inputs[0]: x}) for g in (graph, changed))
    assert np.array_equal(before[graph.outputs[0]], after[graph.outputs[0]])


def test_only_windows_with_one_position_change() -> None:
    for name, graph in CASES.items():
        strides = [
            (old.attrs.stride, new.attrs.stride)
            for old, new in zip(graph.ops, ethos_u.one_step(graph).ops, strict=True)
            if isinstance(old.attrs, Conv2D | DepthwiseConv2D)
            and isinstance(new.attrs, Conv2D | DepthwiseConv2D)
        ]
        moved = [pair for pair in strides if pair[0] != pair[1]]
        expected = [((8, 8), (1, 1))] if name == "strided" else []
        assert moved == expected, name
