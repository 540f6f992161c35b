"""The kernels in assembly answer as the interpreter does, on emulated Cortex-M processors."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.mcu_instructions import measure
from edgedistill import target
from edgedistill.ir import plan
from edgedistill.runners import cortex_m
from edgedistill.target import Fact, Target
from tests.graphs import Builder, integer_cases, random_input, small_integer_graph

REASON = cortex_m.reason_not_runnable(target.load("cortex-m4"))
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")


def without_float_unit() -> Target:
    m4 = target.load("cortex-m4")
    return m4.model_copy(update={"features": Fact(value=("dsp",), source="a Cortex-M4 without its option")})


@pytest.mark.parametrize("cpu", ["m0plus", "m3", "m4", "m4 without a float unit", "m7", "m33", "m55"])
def test_every_operator(cpu: str, tmp_path: Path) -> None:
    graph = small_integer_graph(6)
    device = without_float_unit() if " " in cpu else target.load(f"cortex-{cpu}")
    found = measure(graph, device, random_input(graph, 3), tmp_path)
    assert found["equal_outputs"] == 3 and found["repeat_spread"] <= 4  # two readings, each within a tick


@pytest.mark.parametrize("cpu", ["m4", "m55"])
def test_a_strided_1x1_kernel_that_keeps_the_size(cpu: str, tmp_path: Path) -> None:
    graph = integer_cases(6)["conv_1x1_stride2_padded"]
    assert (
        measure(graph, target.load(f"cortex-{cpu}"), random_input(graph, 3), tmp_path)["equal_outputs"] == 3
    )


def test_a_network_of_odd_sizes_needs_few_instructions(tmp_path: Path) -> None:
    """Sizes that leave a rest in every loop of the kernels."""
    net = Builder("odd", 1)
    x = net.conv(net.input((1, 9, 7, 3)), 11, act="relu", scale=0.02)
    x = net.add(x, net.conv(x, 11, scale=0.02), 255, 255)
    x = net.conv(net.depthwise(x), 13, kernel=1, pads=(0, 0, 0, 0))
    graph = net.graph(net.dense(net.reshape(net.max_pool(x)), 7))
    found = measure(graph, target.load("cortex-m4"), random_input(graph, 4), tmp_path)
    assert found["equal_outputs"] == 4 and found["instructions_spread"] < 0.01 * found["instructions"]
    assert found["instructions"] < 3 * sum(plan.macs(graph).values())
    assert found["arena_bytes"] + found["stack_bytes"] < 8000
