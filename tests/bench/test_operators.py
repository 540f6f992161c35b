"""Operators are timed one by one, and those that lose time to int8 are named."""

import pytest

from edgedistill.bench.measure import slower_than_float
from edgedistill.bench.operators import OperatorTime, operator_times, slowest
from edgedistill.ir.single import single
from edgedistill.record import Measurement
from tests.graphs import small_integer_graph


@pytest.mark.parametrize("runtime", ["litert", "onnxruntime"])
def test_every_operator_that_stands_alone_is_timed(runtime: str) -> None:
    graph = small_integer_graph(0)
    times = operator_times(graph, runtime, runs=3, warmup=1)
    alone = [op for op in graph.ops if single(graph, op) is not None]
    assert len(alone) >= len(graph.ops) - 2  # a gate and a concatenation of unlike shapes cannot
    assert [(t.kind, t.name) for t in times] == [(op.kind, op.name) for op in alone]
    assert all(t.int8_ms > 0 and t.float_ms > 0 for t in times)


def test_the_worst_losses_come_first_and_gains_are_left_out() -> None:
    times = [
        OperatorTime("CONV_2D", "a", 1.0, 0.9),
        OperatorTime("CONV_2D", "b", 1.0, 2.0),
        OperatorTime("ADD", "c", 3.0, 1.0),
        OperatorTime("ADD", "d", 1.0, 0.5),
    ]
    assert [t.name for t in slowest(times, 2)] == ["c", "d"]
    assert str(times[0]) == "CONV_2D a (1 against 0.9 ms)"


def test_the_warning_names_operators_of_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = small_integer_graph(0)
    figures = [
        Measurement(quantity="latency", value=v, unit="ms", how="measured", artifact=a, runtime="litert 2")
        for a, v in (("student.tflite", 2.0), ("student-float32.tflite", 1.0))
    ]
    times = [OperatorTime(op.kind, op.name, 2.0, 1.0) for op in graph.ops]
    monkeypatch.setattr("edgedistill.bench.measure.operator_times", lambda *_, **__: times)
    text = slower_than_float(figures, graph)
    assert text is not None
    assert f"most is lost in {graph.ops[0].kind} {graph.ops[0].name} (2 against 1 ms)" in text
