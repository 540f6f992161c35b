"""Compiled models answer as the interpreter does, in every byte, under AddressSanitizer and UBSan."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgedistill.ir.graph import Graph
from edgedistill.ir.interpret import run
from tests.export.c.compiled import VARIANTS, compiler, outputs
from tests.export.c.random_graphs import graphs
from tests.graphs import integer_cases, random_input, small_integer_graph


def inputs(graph: Graph) -> NDArray[np.int8]:
    """Random values, and both ends of the range."""
    x = random_input(graph, 4)
    x[0], x[1] = -128, 127
    return x


def check(nets: Sequence[Graph], folder: Path, flags: Sequence[str]) -> None:
    given_ = [inputs(net) for net in nets]
    found = outputs(nets, given_, folder, flags)
    for net, x, y in zip(nets, given_, found, strict=True):
        expected = run(net, {net.inputs[0]: x})[net.outputs[0]]
        kinds = [(op.kind, op.attrs) for op in net.ops]
        np.testing.assert_array_equal(y, expected, err_msg=str(kinds))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_graph_of_every_operator(variant: str, tmp_path: Path) -> None:
    check([small_integer_graph(3)], tmp_path, VARIANTS[variant])


def test_every_operator_and_padding_in_one_program(tmp_path: Path) -> None:
    check(list(integer_cases(5).values()), tmp_path, VARIANTS["dsp"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_random_graphs(variant: str) -> None:
    compiler()  # skips here, not within hypothesis

    @settings(
        max_examples=2,
        phases=[Phase.generate],  # each example is compiled: no time to shrink
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(graphs(), min_size=7, max_size=7))
    def every(nets: list[Graph]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            check(nets, Path(folder), VARIANTS[variant])

    every()
