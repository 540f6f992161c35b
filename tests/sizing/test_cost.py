"""Predictions: parts that make the whole, bands of all facts, and what is missing named."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistill import students, target
from edgedistill.ir import plan
from edgedistill.ir.graph import Graph
from edgedistill.lower.student import float_graph
from edgedistill.quant import ranges
from edgedistill.quant.integer import to_integer
from edgedistill.sizing import cost, designed
from edgedistill.target import Cost, Target
from tests.graphs import Builder, small_integer_graph

M4, BOARD, M55 = (target.load(name) for name in ("cortex-m4", "nucleo-l4r5zi", "cortex-m55"))


@pytest.fixture(autouse=True)
def no_overlay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def instructions(graph: Graph, device: Target) -> float:
    return cost.predict(graph, device, "c")[0].value


@pytest.mark.parametrize("device", [M4, M55], ids=lambda d: d.name)
@pytest.mark.parametrize("index", range(8))
def test_the_parts_are_the_whole(device: Target, index: int) -> None:
    graph = designed.networks(8)[index]
    parts = cost.parts(graph, device, "c")
    (whole,) = cost.predict(graph, device, "c")
    assert whole.value == pytest.approx(sum(part.value for part in parts))
    assert all(part.value >= 0 for part in parts)
    named = [name for part in parts for name in part.ops]
    assert named == [op.name for op in graph.ops if op.kind != "RESHAPE"]
    assert whole.low < whole.value < whole.high and whole.unit == "instructions"
    assert "predicted" in whole.words and "designed networks on" in whole.source


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 24),
    st.integers(1, 24),
    st.integers(1, 12),
    st.sampled_from([1, 3, 5]),
    st.sampled_from([M4, M55]),
)
def test_more_products_take_more_instructions(
    channels: int, outputs: int, side: int, kernel: int, device: Target
) -> None:
    """By whole steps of the kernels: channels by 16, outputs by 4, positions by 3."""

    def graph(inputs: int, out: int, size: int) -> Graph:
        net = Builder("net", 0)
        pad = kernel // 2
        net.conv(net.input((1, size, size, 16 * inputs)), 4 * out, kernel, pads=(pad,) * 4)
        return net.graph()

    here = graph(channels, outputs, 3 * side)
    larger = (
        graph(channels + 1, outputs, 3 * side),
        graph(channels, outputs + 1, 3 * side),
        graph(channels, outputs, 3 * side + 3),
    )
    for other in larger:
        assert sum(plan.macs(other).values()) > sum(plan.macs(here).values())
        assert instructions(other, device) > instructions(here, device)


def test_a_board_has_its_cores_model_and_both_ends_of_its_facts() -> None:
    graph = small_integer_graph(0)
    count, latency, energy = cost.predict(graph, BOARD, "c")
    assert count.value == instructions(graph, M4)
    assert latency.value == pytest.approx(count.value * 1.65 / 120e6 * 1e3)
    assert latency.low == pytest.approx(count.low * 1.5 / 120e6 * 1e3)
    assert latency.high == pytest.approx(count.high * 1.8 / 120e6 * 1e3)
    assert energy.low == pytest.approx(count.low * 1.5 * 322e-9)
    assert energy.high == pytest.approx(count.high * 1.8 * 365e-9)
    assert (latency.unit, energy.unit) == ("ms", "mJ")


def test_other_extensions_are_another_core() -> None:
    assert M4.features is not None
    soft = M4.features.model_copy(update={"value": ("dsp",)})
    without = BOARD.model_copy(update={"features": soft})
    assert cost.predict(small_integer_graph(0), without, "c") == ()
    missing = cost.missing(without, "instructions")
    assert missing is not None and "edgedistill calibrate --target nucleo-l4r5zi --runtime c" in missing


def test_which_arms_share_a_model() -> None:
    """Those whose runtime chooses the same kernels when it starts."""
    pi5, zero, phone = (target.load(n) for n in ("raspberry-pi-5", "raspberry-pi-zero-2w", "android-arm64"))
    assert pi5.features is not None
    bare = pi5.model_copy(update={"cost": (), "name": "bare"})
    found = cost.model_of(bare, "litert")
    assert found is not None and found == pi5.cost[0] and "cortex-a76" in found.machine
    assert cost.core_of(zero, "litert") == cost.core_of(phone, "litert") != cost.core_of(pi5, "litert")
    has = pi5.features.model_copy(update={"value": (*pi5.features.value, "i8mm")})
    assert cost.model_of(bare.model_copy(update={"features": has}), "litert") is None
    assert cost.core_of(target.load("linux-x86_64"), "litert") is None
    graph = designed.networks(1)[0]
    assert cost.predict(graph, bare, "litert")[0].value == pytest.approx(
        sum(p.value for p in cost.parts(graph, bare, "litert"))
    )


def test_what_is_missing_is_named() -> None:
    assert cost.missing(M4, "instructions") is None
    assert "[cycles_per_instruction]" in (cost.missing(M4, "latency") or "")
    assert cost.missing(BOARD, "latency") is None and cost.missing(BOARD, "energy") is None
    for fact in ("clock_hz", "picojoules_per_cycle"):
        quantity = "latency" if fact == "clock_hz" else "energy"
        lacking = BOARD.model_copy(update={fact: None})
        assert f"[{fact}]" in (cost.missing(lacking, quantity) or "")
        assert quantity not in {p.quantity for p in cost.predict(small_integer_graph(0), lacking, "c")}
    server = target.load("linux-x86_64").model_copy(update={"cost": ()})
    assert "no cost model of the runtime litert" in (cost.missing(server, "latency") or "")
    for name, runtime in (("corstone-300-ethos-u55-128", "tflite-micro"), ("iphone-a15", "coreml")):
        reason = cost.missing(target.load(name), "latency")
        assert reason is not None and f"runs {runtime}, which `edgedistill calibrate` cannot" in reason


def test_a_model_of_latency_predicts_latency_alone() -> None:
    graph = small_integer_graph(0)
    coefficients: dict[str, dict[str, float]] = {}
    for known in (graph, *designed.networks(8, scale=2)):
        for work in cost.works(known, M4, "litert") or ():
            coefficients.setdefault(work.kernel, {}).update(dict.fromkeys(work.counts, 1e-6))
    coefficients["inference"] = {"calls": 0.02}
    model = Cost(
        runtime="litert",
        quantity="latency",
        machine="this machine",
        software="litert 1",
        date="2026-01-01",
        graphs=50,
        error_median=0.05,
        error_p90=0.1,
        band=(0.9, 1.2),
        coefficients=coefficients,
    )
    phone = target.load("android-arm64").model_copy(update={"cost": (model,)})
    (latency,) = cost.predict(graph, phone, "litert")
    assert (latency.quantity, latency.unit) == ("latency", "ms") and latency.value > 0.02
    assert (latency.low, latency.high) == pytest.approx((0.9 * latency.value, 1.2 * latency.value))
    assert cost.missing(phone, "latency") is None
    assert "none of instructions" in (cost.missing(phone, "instructions") or "")
    del coefficients["mul"]
    half = phone.model_copy(update={"cost": (model.model_copy(update={"coefficients": coefficients}),)})
    assert cost.predict(graph, half, "litert") == () == cost.parts(graph, half, "litert")
    told = cost.missing(half, "latency") or ""
    assert "2026-01-01, does not know all that this version's kernels do" in told
    assert "`edgedistill calibrate --target android-arm64 --runtime litert` fits it anew" in told


def test_where_a_model_can_be_fitted_is_told() -> None:
    """A phone whose i8mm nothing emulates is measured on itself; a user's file is named as one."""
    phone = target.load("android-flagship")
    assert "litert --on local` on the device itself fits one" in (cost.missing(phone, "latency") or "")
    own = target.load("cortex-m4").model_copy(update={"name": "mine", "cost": (), "cpu": None})
    assert "calibrate --target mine.toml --runtime c`" in (cost.missing(own, "latency") or "")


def test_kernels_of_other_types_are_not_predicted() -> None:
    graph = small_integer_graph(0)
    wide = replace(graph.tensors[graph.ops[0].outputs[0]], dtype="float32")
    assert cost.predict(graph.with_tensors(wide), M4, "c") == ()


def test_a_prediction_takes_a_few_milliseconds() -> None:
    graphs = designed.networks(16)
    cost.predict(graphs[0], M4, "c")
    started = time.process_time()
    for graph in graphs:
        cost.predict(graph, M4, "c")
    assert (time.process_time() - started) / len(graphs) < 0.02


MODELS = [(name, entry.runtime) for name in target.names() for entry in target.load(name).cost]


@pytest.mark.parametrize(("name", "runtime"), MODELS, ids=lambda part: str(part))
def test_every_model_that_ships_knows_what_all_families_do(name: str, runtime: str) -> None:
    """A model that was fitted before kernels were counted otherwise predicts nothing."""
    device = target.load(name)
    for family in students.STUDENTS:
        shape = (49, 40, 1) if family == "dscnn" else (32, 32, 3)
        net = students.parse(family).build(3, shape[2])
        graph = float_graph(net, shape, ("a", "b", "c"))
        integer = to_integer(graph, ranges.choose(graph, {}))
        assert cost.predict(integer, device, runtime), family
