"""Says which step of a network takes how much: predicted for the device, or else timed on this machine."""

from __future__ import annotations

from edgedistill.bench.machine import machine
from edgedistill.bench.operators import operator_times
from edgedistill.ir.graph import Graph
from edgedistill.record import Step, Steps
from edgedistill.runners import RUNNERS
from edgedistill.sizing import cost
from edgedistill.target import Target

_RUNS = 30  # of each operator alone, int8 and float32 in turns
_HERE = ("litert", "onnxruntime")


def steps(graph: Graph, device: Target, threads: int = 1) -> Steps | None:
    """Every step of an integer graph, in order; None: no model of the device, and no runtime here.

    A device's cost model knows its steps, each of one operator or a few that its kernels do as one. Without
    one, each operator that can stand alone is timed here as a network of its own, with the cost of a call.
    """
    runtime = cost.runtime_of(device)
    parts = cost.parts(graph, device, runtime)
    if parts:
        model = cost.model_of(device, runtime)
        assert model is not None, "there are parts"
        rows = tuple(
            Step(ops=part.ops, kernel=part.kernel, value=part.value) for part in parts if part.value > 0
        )
        unit = "ms" if model.quantity == "latency" else "instructions"
        return Steps(rows=rows, unit=unit, how="modelled", runtime=runtime, device=device.title)
    here = next((name for name in _HERE if RUNNERS[name].can_run_here), None)
    if here is None:
        return None
    timed = tuple(
        Step(ops=(one.name,), kernel=one.kind, value=one.int8_ms, float32=one.float_ms)
        for one in operator_times(graph, here, runs=_RUNS, threads=threads)
    )
    return Steps(rows=timed, unit="ms", how="measured", runtime=here, device=machine()) if timed else None
