"""Every rule passes on legal graphs and fails on one broken in just that respect."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edgedistill.ir import ops
from edgedistill.ir.graph import Graph, Op, QParams, Tensor
from edgedistill.ir.verify import RULES, check, inexact
from tests.graphs import integer_cases, small_float_graph, small_integer_graph
from tests.int16_graphs import tail

CASES = {**integer_cases(0), "int16": tail()}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_legal_graphs_pass(seed: int) -> None:
    check(small_integer_graph(seed))
    check(small_float_graph(seed))
    assert inexact(small_integer_graph(seed)) == ()


@pytest.mark.parametrize("name", CASES)
def test_legal_operators_pass(name: str) -> None:
    check(CASES[name])
    assert inexact(CASES[name]) == ()


def tensor(graph: Graph, name: str, **changes: object) -> Graph:
    return graph.with_tensors(replace(graph.tensors[name], **changes))  # type: ignore[arg-type]


def op(graph: Graph, index: int, **changes: object) -> Graph:
    changed = list(graph.ops)
    changed[index] = replace(changed[index], **changes)  # type: ignore[arg-type]
    return graph.replace(ops=tuple(changed))


def scale(graph: Graph, name: str, by: float = 1.0, zero_point: int | None = None) -> Graph:
    q = graph.tensors[name].quant
    assert q is not None
    z = q.zero_point if zero_point is None else zero_point
    return tensor(graph, name, quant=replace(q, scale=(q.scale * np.float32(by)), zero_point=z))


def weight(graph: Graph, value: int) -> Graph:
    name = graph.ops[0].inputs[1]
    data = np.array(graph.tensors[name].data)
    data.ravel()[0] = value
    return tensor(graph, name, data=data)


def last(graph: Graph) -> str:
    return graph.outputs[0]


def _without_bias(graph: Graph) -> Graph:
    bias = graph.ops[0].inputs[2]
    return tensor(graph.replace(inputs=(*graph.inputs, bias)), bias, data=None)


def _eight_scales(graph: Graph) -> Graph:
    return tensor(graph, graph.ops[0].inputs[1], quant=QParams(np.ones(8, np.float32), 0, 0))


BROKEN: tuple[tuple[str, str, str, Callable[[Graph], Graph]], ...] = (
    ("inputs_exist", "conv_same", "2 inputs", lambda g: op(g, 0, inputs=g.ops[0].inputs[:2])),
    (
        "inputs_exist",
        "add_odd",
        "no tensor named gone",
        lambda g: op(g, -1, inputs=("gone", g.ops[-1].inputs[1])),
    ),
    ("topological_order", "add_odd", "before it is written", lambda g: g.replace(ops=g.ops[::-1])),
    ("topological_order", "add_odd", "same name", lambda g: op(g, 1, name=g.ops[0].name)),
    (
        "topological_order",
        "conv_same",
        "written twice",
        lambda g: g.replace(ops=(*g.ops, replace(g.ops[0], name="again"))),
    ),
    ("constants_present", "dense", "no data", _without_bias),
    (
        "constants_present",
        "dense",
        "not int8",
        lambda g: tensor(g, g.ops[0].inputs[1], data=np.zeros((9, 24), np.int16)),
    ),
    ("dtypes", "dense", "is float32, not int8", lambda g: tensor(g, last(g), dtype="float32")),
    ("scales_present", "reshape", "no positive per-tensor scale", lambda g: tensor(g, last(g), quant=None)),
    ("scales_present", "reshape", "int8 zero point", lambda g: scale(g, last(g), zero_point=128)),
    ("scales_present", "reshape", "no positive", lambda g: scale(g, last(g), by=0)),
    ("scales_present", "dense", "scales along axis", _eight_scales),
    ("window_fits", "max_pool", "of kernel", lambda g: op(g, 0, attrs=ops.MaxPool2D(pads=(2, 0, 0, 0)))),
    ("window_fits", "conv_same", "stride", lambda g: op(g, 0, attrs=ops.Conv2D(stride=(0, 1)))),
    ("shapes", "conv_same", r"is \[1, 7, 8, 7\]", lambda g: tensor(g, last(g), shape=(1, 7, 8, 7))),
    ("shapes", "reshape", "48 values cannot become 47", lambda g: tensor(g, last(g), shape=(1, 47))),
    ("shapes", "concat", "is not 1", lambda g: tensor(g, last(g), shape=(2, 8, 8, 10))),
    ("shapes", "concat", r"not \[1, 8, 8, 10\]", lambda g: tensor(g, last(g), shape=(1, 8, 8, 9))),
    ("shapes", "mul_gate", "neither equal nor a gate", lambda g: op(g, -1, inputs=g.ops[-1].inputs[::-1])),
    ("shapes", "depthwise_same", "do not fit", lambda g: op(g, 0, attrs=ops.Conv2D(pads=(1, 1, 1, 1)))),
    ("weights_symmetric", "conv_same", "holds -128", lambda g: weight(g, -128)),
    ("bias_scale", "dense", "off by 1.0e-03", lambda g: scale(g, g.ops[0].inputs[2], by=1.001)),
    ("act_is_saturation", "conv_valid_relu", "zero point -127", lambda g: scale(g, last(g), zero_point=-127)),
    (
        "act_is_saturation",
        "conv_5x5_lopsided",
        "range up to",
        lambda g: scale(g, last(g), by=6.1 / 255 / _s(g)),
    ),
    ("equal_scales", "max_pool", "the output", lambda g: scale(g, last(g), by=1.0001)),
    ("equal_scales", "concat", "the output", lambda g: scale(g, last(g), zero_point=8)),
    ("int16_scales", "int16", "scales", lambda g: scale(g, g.ops[0].outputs[0], by=1.5)),
    ("int16_scales", "int16", "scales", lambda g: scale(g, last(g), by=3.0)),
    (
        "scales_present",
        "int16",
        "int16 with zero point 4",
        lambda g: scale(g, g.ops[1].outputs[0], zero_point=4),
    ),
    ("dtypes", "int16", "is int8, not int16", lambda g: tensor(g, g.ops[2].outputs[0], dtype="int8")),
    (
        "dtypes",
        "int16",
        "its sides are int8 and int8",
        lambda g: tensor(g, g.ops[1].outputs[0], dtype="int8"),
    ),
    (
        "dtypes",
        "int16",
        "its sides are int8 and float32",
        lambda g: tensor(g, g.ops[1].outputs[0], dtype="float32"),
    ),
    (
        "dtypes",
        "int16",
        "no such operator on int16",
        lambda g: op(g, 2, attrs=ops.Mul(), inputs=(g.ops[2].inputs[0],) * 2),
    ),
)


def _s(graph: Graph) -> float:
    q = graph.tensors[last(graph)].quant
    assert q is not None
    return float(q.scale[0])


@pytest.mark.parametrize(
    ("rule", "case", "text", "change"), BROKEN, ids=[f"{b[0]}-{b[1]}-{i}" for i, b in enumerate(BROKEN)]
)
def test_a_broken_rule_is_named(rule: str, case: str, text: str, change: Callable[[Graph], Graph]) -> None:
    with pytest.raises(AssertionError, match=f"(?s){text}.*Rule {rule}: ") as error:
        check(change(CASES[case]))
    assert any(str(error.value).startswith(op.name) for op in CASES[case].ops) or "again" in str(error.value)


def test_every_rule_has_a_text_and_a_broken_example() -> None:
    assert all((rule.__doc__ or "").strip() for rule in RULES.values())
    assert {b[0] for b in BROKEN} == set(RULES)


def test_relu6_may_end_at_six_to_float32s_precision() -> None:
    graph = CASES["conv_5x5_lopsided"]
    at_six = scale(graph, last(graph), by=6 / 255 / _s(graph) * (1 + 1e-7))
    check(at_six)


def test_a_missing_output_is_named() -> None:
    with pytest.raises(AssertionError, match="output nothing is computed by no operator"):
        check(CASES["dense"].replace(outputs=("nothing",)))


def test_free_scales_are_inexact_with_a_bound() -> None:
    for case, by in (("add_odd", 1.0123), ("mul_gate", 1.0123)):
        graph = scale(CASES[case], last(CASES[case]), by=by)
        check(graph)
        ((name, reason),) = inexact(graph)
        assert name == graph.ops[-1].name and "no odd denominator" in reason and "10**5" in reason


def test_accumulators_past_int32_are_inexact() -> None:
    graph = CASES["dense"]
    bias = graph.ops[0].inputs[2]
    data = np.array(graph.tensors[bias].data)
    data[0] = 2**31 - 1
    assert "past int32" in inexact(tensor(graph, bias, data=data))[0][1]


def test_multipliers_that_xnnpack_refuses_are_inexact() -> None:
    graph = scale(CASES["dense"], last(CASES["dense"]), by=1e-7)
    assert any("256" in reason for _, reason in inexact(graph))


def test_int16_sums_and_multipliers_past_the_rule_are_inexact() -> None:
    graph = CASES["int16"]
    conv = graph.ops[2]
    assert graph.is_int16(conv) and inexact(graph) == ()
    fine = scale(graph, conv.outputs[0], by=1e-7)
    assert any("128: LiteRT shifts" in reason for _, reason in inexact(fine))


def test_a_float_graph_is_inexact_except_where_values_only_move() -> None:
    graph = small_float_graph(0)
    names = {name for name, _ in inexact(graph)}
    moved = {o.name for o in graph.ops if isinstance(o.attrs, ops.Reshape | ops.Concat | ops.MaxPool2D)}
    assert names == {o.name for o in graph.ops} - moved


def test_an_explicit_pad_is_legal() -> None:
    """An identity of one position that pads: larger than its kernel."""
    w = Tensor("w", (1, 1, 1, 2), "float32", data=np.ones((1, 1, 1, 2), np.float32))
    b = Tensor("b", (2,), "float32", data=np.zeros(2, np.float32))
    x, y = Tensor("x", (1, 4, 4, 2), "float32"), Tensor("y", (1, 6, 6, 2), "float32")
    pad = Op("pad", ops.DepthwiseConv2D(pads=(1, 1, 1, 1), constant=True), ("x", "w", "b"), ("y",))
    check(Graph("g", {t.name: t for t in (x, w, b, y)}, (pad,), ("x",), ("y",)))
