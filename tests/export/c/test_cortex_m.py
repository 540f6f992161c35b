"""The kernels in assembly answer as the interpreter does, on emulated Cortex-M processors."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.mcu_instructions import BOARDS, measure
from edgedistill.ir import plan
from tests.graphs import Builder, random_input, small_integer_graph

for program, package in (("arm-none-eabi-gcc", "gcc-arm-none-eabi"), ("qemu-system-arm", "qemu-system-arm")):
    if shutil.which(program) is None:
        pytest.skip(f"needs {program} (Debian: {package})", allow_module_level=True)


@pytest.mark.parametrize("cpu", ["m3", "m4", "m4-nofpu", "m7"])
def test_every_operator(cpu: str, tmp_path: Path) -> None:
    graph = small_integer_graph(6)
    found = measure(graph, BOARDS[cpu], random_input(graph, 3), tmp_path)
    assert found["equal_outputs"] == 3


def test_a_network_of_odd_sizes_needs_few_instructions(tmp_path: Path) -> None:
    """Sizes that leave a rest in every loop of the kernels."""
    net = Builder("odd", 1)
    x = net.conv(net.input((1, 9, 7, 3)), 11, act="relu", scale=0.02)
    x = net.add(x, net.conv(x, 11, scale=0.02), 255, 255)
    x = net.conv(net.depthwise(x), 13, kernel=1, pads=(0, 0, 0, 0))
    graph = net.graph(net.dense(net.reshape(net.max_pool(x)), 7))
    found = measure(graph, BOARDS["m4"], random_input(graph, 4), tmp_path)
    assert found["equal_outputs"] == 4 and found["instructions_spread"] < 0.01 * found["instructions"]
    assert found["instructions"] < 3 * sum(plan.macs(graph).values())
    assert found["arena_bytes"] + found["stack_bytes"] < 8000
