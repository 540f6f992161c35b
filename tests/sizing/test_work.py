"""What steps do, counted: windows by a slow count, sums over a graph, and monotone in sizes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill import target
from edgedistill.sizing import c_work, designed, runtime_work
from edgedistill.sizing.c_work import Kernels
from edgedistill.sizing.work import ALONE, windows
from tests.graphs import Builder, small_integer_graph

ALL: tuple[Kernels, ...] = ("dsp", "helium", "plain")
small = st.integers(1, 12)


@given(small, small, st.integers(1, 5), st.integers(1, 3), st.integers(0, 4))
def test_windows_by_a_slow_count(size: int, out: int, kernel: int, stride: int, pad: int) -> None:
    for i, (first, last) in enumerate(windows(size, out, kernel, stride, pad)):
        inside = [k for k in range(kernel) if 0 <= i * stride - pad + k < size]
        assert 0 <= first <= last <= kernel
        assert list(range(first, last)) == inside


@pytest.mark.parametrize("kernels", ALL)
def test_every_step_has_its_operators_and_no_count_is_negative(kernels: Kernels) -> None:
    graph = small_integer_graph(1)
    found = c_work.steps(graph, kernels)
    seen = [name for work in found for name in work.ops]
    assert seen == [op.name for op in graph.ops if op.kind != "RESHAPE"]
    assert all(count >= 0 for work in found for count in work.counts.values())


def test_a_kernel_that_is_called_once_has_a_name_of_its_own() -> None:
    net = Builder("one", 0)
    x = net.input((1, 6, 6, 4))
    y = net.conv(x, 8)
    once = c_work.steps(net.graph(), "dsp")
    net.conv(y, 8)
    twice = c_work.steps(net.graph(), "dsp")
    assert [work.kernel for work in once] == ["conv" + ALONE]
    assert [work.kernel for work in twice] == ["conv", "conv"]
    assert once[0].sibling == "conv" and twice[0].sibling == once[0].kernel


def conv(channels: int, outputs: int, kernels: Kernels, kernel: int = 3) -> dict[str, float]:
    net = Builder("net", 0)
    net.conv(net.input((1, 7, 5, channels)), outputs, kernel, pads=(1, 1, 1, 1))
    return dict(c_work.steps(net.graph(), kernels)[0].counts)


@pytest.mark.parametrize("kernels", ALL)
@given(channels=st.integers(1, 40), outputs=st.integers(1, 40))
def test_products_follow_from_whole_steps_of_the_kernel(
    kernels: Kernels, channels: int, outputs: int
) -> None:
    counts = conv(channels, outputs, kernels)
    depth = -(-9 * channels // 4) * 4
    positions = {"dsp": 3, "helium": 3, "plain": 2}[kernels]
    tiles = -(-35 // positions)
    assert counts["tiles"] == tiles
    if kernels == "helium":
        quads = tiles * -(-outputs // 4)
        assert counts["four channels"] == quads
        vectors = counts["four channels by sixteen products"] + counts["four channels by the rest"]
        assert vectors == quads * -(-depth // 16)
    else:
        pairs = tiles * -(-outputs // 2)
        assert counts["two channels"] + counts["last channels"] == pairs
        sixteens = counts.get("two channels by sixteen products", 0)
        assert 4 * sixteens + counts["two channels by four products"] == pairs * depth // 4


@pytest.mark.parametrize("kernels", ALL)
@given(outputs=st.integers(1, 30), more=st.integers(1, 10))
def test_more_channels_are_never_less_of_anything_but_the_odd_rest(
    kernels: Kernels, outputs: int, more: int
) -> None:
    few, many = conv(8, outputs, kernels), conv(8, outputs + 2 * more, kernels)
    assert all(many[name] >= few[name] for name in few)


@pytest.mark.parametrize("kernels", ALL)
def test_every_byte_of_a_window_is_copied_or_filled(kernels: Kernels) -> None:
    """3x3 over 7x5 with a border of one: of 9 * 35 pixels, so many lie within."""
    inside = (3 * 7 - 2) * (3 * 5 - 2)
    outside = 9 * 35 - inside
    counts = conv(16, 4, kernels)
    if kernels == "dsp":
        assert 16 * counts["sixteens"] + 4 * counts["fours"] == 16 * inside
        assert 4 * counts["fours outside"] == 16 * outside
    elif kernels == "helium":
        assert 16 * counts["copies of sixteen"] == 16 * inside
        assert counts["fills of sixteen"] == outside
    else:
        assert (counts["bytes"], counts["bytes outside"]) == (16 * inside, 16 * outside)
    if kernels == "dsp":
        loose = conv(3, 4, kernels)
        assert 4 * loose["loose words"] + loose["loose bytes"] == 3 * inside
        assert 4 * loose["loose words outside"] + loose["loose bytes outside"] == 3 * outside


def test_weights_that_are_not_learned_yet_count_as_different() -> None:
    """Of an average, the kernel is laid out once; of zeros that training will replace, for each channel."""
    net = Builder("net", 0)
    y = net.depthwise(net.input((1, 6, 6, 8)))
    net.average(y)
    graph = net.graph()
    name = graph.ops[0].inputs[1]
    tensor = graph.tensors[name]
    assert tensor.data is not None
    zeros = graph.with_tensors(replace(tensor, data=np.zeros_like(tensor.data)))
    for kernels, each in (("dsp", 8), ("helium", 2)):
        learned, average = c_work.steps(zeros, kernels)  # type: ignore[arg-type]
        assert learned.counts == c_work.steps(graph, kernels)[0].counts  # type: ignore[arg-type]
        assert (learned.counts["kernels"], average.counts["kernels"]) == (each, 1)


def test_which_kernels_a_device_runs() -> None:
    def kernels(name: str) -> str | None:
        return c_work.kernels_of(target.load(name))

    found = {n: kernels(n) for n in ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33", "cortex-m55")}
    assert list(found.values()) == ["plain", "plain", "dsp", "dsp", "helium"]
    assert kernels("linux-x86_64") == "plain" and kernels("raspberry-pi-4") is None


def test_a_runtimes_steps_are_its_operators() -> None:
    graph = small_integer_graph(2)
    found = runtime_work.steps(graph)
    assert [work.ops for work in found] == [(op.name,) for op in graph.ops]
    kernels = {work.kernel for work in found}
    assert {"conv", "pointwise", "depthwise", "dense", "add", "mul", "table", "reshape"} <= kernels
    (average,) = (w for w in runtime_work.steps(designed.networks(2)[1]) if w.kernel == "average")
    assert average.counts["products"] > average.counts["outputs"] > 1


def test_the_design_is_seeded_and_its_beginning_does_not_depend_on_its_length() -> None:
    few, many = designed.networks(3), designed.networks(5)
    other = designed.networks(3, seed=designed.SEED + 1)

    def shapes(graphs: tuple[object, ...]) -> list[str]:
        return [repr([t.shape for t in g.tensors.values()]) for g in graphs]  # type: ignore[attr-defined]

    assert shapes(few) == shapes(many[:3]) and shapes(few) != shapes(other)


def test_the_design_holds_every_kernel_and_every_count() -> None:
    graphs = designed.networks(32)
    for kernels in ALL:
        seen: dict[str, set[str]] = {}
        for graph in graphs:
            for work in c_work.steps(graph, kernels):
                names = {name for name, count in work.counts.items() if count}
                seen.setdefault(work.kernel.removesuffix(ALONE), set()).update(names)
        assert {"conv", "depthwise", "dense", "add", "float add", "mul", "float mul"} <= seen.keys()
        assert {"max_pool", "copy", "table"} <= seen.keys()
        for graph in (small_integer_graph(0), small_integer_graph(1)):
            for work in c_work.steps(graph, kernels):
                known = seen[work.kernel.removesuffix(ALONE)]
                assert {name for name, count in work.counts.items() if count} <= known
    odd = {
        graph.tensors[op.inputs[1]].shape[0] % 4
        for graph in graphs
        for op in graph.ops
        if op.kind == "CONV_2D"
    }
    assert odd == {0, 1, 2, 3}
    assert all(np.isfinite(t.data).all() for g in graphs for t in g.tensors.values() if t.data is not None)
