"""Times each operator as a network of its own, int8 beside float32, to name what makes int8 slow."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.bench.latency import interleaved
from edgedistill.export import EXPORTERS
from edgedistill.export.metadata import Metadata
from edgedistill.ir.graph import Graph
from edgedistill.ir.single import float_twin, single
from edgedistill.runners import RUNNERS, Runner

_FORMATS = {"litert": "tflite", "onnxruntime": "onnx"}
_META = Metadata("operator", "one operator, for timing", (), 1.0, 0, "")


@dataclass(frozen=True)
class OperatorTime:
    """Medians in ms of one operator alone, with the runtime's cost of a call in both."""

    kind: str
    name: str
    int8_ms: float
    float_ms: float

    def __str__(self) -> str:
        return f"{self.kind} {self.name} ({self.int8_ms:.3g} against {self.float_ms:.3g} ms)"


def operator_times(
    graph: Graph, runtime: str, *, runs: int = 50, warmup: int = 5, threads: int = 1
) -> tuple[OperatorTime, ...]:
    """Every operator of the integer ``graph`` that can stand alone, in order, timed in ``runtime``.

    Args:
        graph: integer; its weights are dequantised for the float32 side.
        runtime: a name of RUNNERS that can run here.
        runs: counted inferences of each side, taken in turns.
    """
    twin = float_twin(graph)
    found = []
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as temporary:
        for op, float_op in zip(graph.ops, twin.ops, strict=True):
            pair = single(graph, op), single(twin, float_op)
            if pair[0] is None or pair[1] is None:
                continue
            shape = pair[0].tensors[pair[0].inputs[0]].shape
            q = rng.integers(-128, 128, shape).astype(np.int8)
            inputs: dict[str, NDArray[Any]] = {"int8": q, "float32": (q / 64).astype(np.float32)}
            models: dict[str, Runner] = {
                side: _load(part, runtime, Path(temporary) / side, threads)
                for side, part in zip(inputs, pair, strict=True)
                if part is not None
            }
            times = interleaved(
                {side: (models[side], inputs[side]) for side in models}, runs=runs, warmup=warmup, rounds=5
            )
            medians = {side: float(np.median(taken)) for side, taken in times.items()}
            found.append(OperatorTime(op.kind, op.name, medians["int8"], medians["float32"]))
    return tuple(found)


def slowest(times: Sequence[OperatorTime], count: int = 3) -> tuple[OperatorTime, ...]:
    """The operators that lose most time to int8, worst first; those that gain are left out."""
    losing = [t for t in times if t.int8_ms > t.float_ms]
    return tuple(sorted(losing, key=lambda t: t.float_ms - t.int8_ms)[:count])


def _load(graph: Graph, runtime: str, stem: Path, threads: int) -> Runner:
    row = EXPORTERS[_FORMATS[runtime]]
    path = stem.with_suffix(row.suffix)
    row.write(graph, _META, path)
    return RUNNERS[runtime].load()(path, threads=threads)
