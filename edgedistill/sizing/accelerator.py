"""Predicts what an untrained student will take on a device's Ethos-U: Vela is asked about random weights."""

from __future__ import annotations

from edgedistill.export import ethos_u
from edgedistill.export.metadata import Metadata
from edgedistill.ir.graph import Graph
from edgedistill.runners import vela
from edgedistill.sized import Prediction
from edgedistill.target import Target

TRAINED = (0.71, 1.001)
"""Cycles with trained weights by cycles with random ones, of 13 of 14 networks and configurations
(benchmarks/ethos_u.py, results/ethos-u.json): trained weights compress better, and a layer that waits for
its weights gains by it. The fourteenth, whose weights are mostly zero, took 0.60."""


def predict(graph: Graph, device: Target) -> tuple[Prediction, ...]:
    """Milliseconds of one inference; the processor's part, if there is one, is not in it.

    About a second: for finalists, not for thousands of candidates.

    Args:
        graph: int8, with any weights.
        device: without the fact ``npu``, or where Vela is not installed, nothing is predicted.

    Raises:
        GateError: Vela does not take the network.
    """
    if device.npu is None or vela.reason_not_runnable() is not None:
        return ()
    found = vela.estimate(ethos_u.to_bytes(graph, Metadata(graph.name, "", (), 1.0, 0, "0")), device)
    low, high = (found.latency_ms * end for end in TRAINED)
    left = f", without {len(found.on_cpu)} operators on the processor" if found.on_cpu else ""
    return (
        Prediction(
            quantity="latency",
            value=found.latency_ms,
            low=low,
            high=high,
            unit="ms",
            runtime="tflite-micro",
            source=f"{found.version}, {found.accelerator}, {found.system_config}, {found.memory_mode}{left}",
        ),
    )
