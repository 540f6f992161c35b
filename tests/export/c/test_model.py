"""Compiled models answer as the interpreter does, in every byte, under AddressSanitizer and UBSan."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgedistill.export.c.operators import OPERATORS
from edgedistill.ir.graph import Graph, Op
from edgedistill.ir.interpret import Family, run
from edgedistill.ir.ops import Conv2D, DepthwiseConv2D
from tests.export.c.compiled import ARM, ARM_VARIANTS, HERE, VARIANTS, Machine, compiler, outputs
from tests.export.c.random_graphs import graphs
from tests.graphs import Builder, integer_cases, random_input, small_integer_graph


def inputs(graph: Graph) -> NDArray[np.int8]:
    """Random values, and both ends of the range."""
    x = random_input(graph, 4)
    x[0], x[1] = -128, 127
    return x


def check(
    nets: Sequence[Graph],
    folder: Path,
    flags: Sequence[str],
    family: Family = "F",
    machine: Machine = HERE,
) -> None:
    given_ = [inputs(net) for net in nets]
    found = outputs(nets, given_, folder, flags, family, machine)
    for net, x, y in zip(nets, given_, found, strict=True):
        expected = run(net, {net.inputs[0]: x}, family)[net.outputs[0]]
        kinds = [(op.kind, op.attrs) for op in net.ops]
        np.testing.assert_array_equal(y, expected, err_msg=str(kinds))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_graph_of_every_operator(variant: str, tmp_path: Path) -> None:
    check([small_integer_graph(3)], tmp_path, VARIANTS[variant])


def test_every_operator_and_padding_in_one_program(tmp_path: Path) -> None:
    check(list(integer_cases(5).values()), tmp_path, VARIANTS["dsp"])


@pytest.mark.parametrize("variant", ["portable", "dsp"])
def test_family_d(variant: str, tmp_path: Path) -> None:
    check(list(integer_cases(7).values()), tmp_path, VARIANTS[variant], "D")


@pytest.mark.parametrize(("variant", "family"), itertools.product(ARM_VARIANTS, ("F", "D")))
def test_64_bit_arm(variant: str, family: Family, tmp_path: Path) -> None:
    check([small_integer_graph(3), wide()], tmp_path, ARM_VARIANTS[variant], family, ARM)


def wide() -> Graph:
    """Channels and sizes that fill whole vectors of sixteen and leave a rest, in every kernel."""
    net = Builder("wide", 2)
    x = net.conv(net.input((1, 7, 6, 5), 0.02), 37, act="relu", scale=0.02)
    x = net.add(x, net.conv(x, 37, kernel=1, pads=(0, 0, 0, 0), scale=0.02), 255, 255)
    x = net.depthwise(
        net.depthwise(net.depthwise(x), stride=(1, 2)), kernel=4, stride=(1, 3), pads=(2, 1, 5, 4)
    )
    x = net.add(x, x, 1, 1)
    gate = net.table(net.conv(net.average(x), 37, 1, pads=(0, 0, 0, 0), scale=0.04), "sigmoid", 0.0046, -128)
    x = net.mul(net.max_pool(x), gate, 255, 300)
    return net.graph(net.dense(net.reshape(x), 35))


@pytest.mark.parametrize(
    ("variant", "family"), [*((variant, "F") for variant in VARIANTS), ("dsp without a float unit", "D")]
)
def test_random_graphs(variant: str, family: Family) -> None:
    compiler()  # skips here, not within hypothesis

    @settings(
        max_examples=2,
        phases=[Phase.generate],  # each example is compiled: no time to shrink
        derandomize=True,  # benchmarks/fuzz_c.py is where chance looks
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(graphs(), min_size=7, max_size=7))
    def every(nets: list[Graph]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            check(nets, Path(folder), VARIANTS[variant], family)

    every()


def test_random_graphs_have_what_kernels_get_wrong() -> None:
    seen: set[str] = set()

    @settings(
        max_examples=150,
        phases=[Phase.generate],
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(graphs())
    def every(net: Graph) -> None:
        for op in net.ops:
            seen.add(op.kind)
            seen.update(_features(net, op))

    every()
    assert seen >= {*OPERATORS, "stride 1x2", "stride 2x1", "stride 3x3", "uneven pads", "no pads"}
    assert seen >= {f"CONV_2D, channels % 4 = {n}" for n in range(4)}
    assert seen >= {f"DEPTHWISE_CONV_2D, channels % 4 = {n}" for n in range(4)}
    assert seen >= {"kernel of unequal sides", "one position", "one column"}


def _features(net: Graph, op: Op) -> Iterator[str]:
    if not isinstance(op.attrs, Conv2D | DepthwiseConv2D):
        return
    weights, y = net.tensors[op.inputs[1]].shape, net.tensors[op.outputs[0]].shape
    top, bottom, left, right = op.attrs.pads
    yield f"{op.kind}, channels % 4 = {y[3] % 4}"
    yield "stride " + "x".join(map(str, op.attrs.stride))
    yield "uneven pads" if top != bottom or left != right else "no pads" if not top + left else "pads"
    if weights[1] != weights[2]:
        yield "kernel of unequal sides"
    if y[1:3] == (1, 1):
        yield "one position"
    if y[2] == 1 < y[1]:
        yield "one column"
