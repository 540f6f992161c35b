"""CIFAR-10's ResNet-8 in a browser's WebAssembly: the interpreter's bits on many images, as JSON.

    python -m benchmarks.browser --real-data DIR --json FILE [--images 500]

The kept student runs in a real Chromium, in onnxruntime-web and in LiteRT.js, on one thread and on two. Every
output value is compared with the integer interpreter's. Latencies are of this machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import provenance
from edgedistill import data
from edgedistill.bench import browser as bench
from edgedistill.bench.accuracy import counted, to_int8
from edgedistill.ir import golden, interpret, serial
from edgedistill.runners import browser

MODEL = Path(__file__).parents[1] / "models" / "cifar10-resnet8"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real-data", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--runs", type=int, default=200)
    arguments = parser.parse_args()
    graph = serial.load(MODEL / "graph.npz")
    source = str(arguments.real_data / "cifar10" / "test.parquet")
    with tempfile.TemporaryDirectory() as cache:
        test, _, _ = data.load_test(source, (32, 32, 3), cache=Path(cache))
    inputs = to_int8(np.asarray(test.images_NHWC[: arguments.images]))
    expected = interpret.run_batched(graph, {graph.inputs[0]: inputs})[graph.outputs[0]]
    vectors = golden.Golden(inputs, np.asarray(expected, np.int8), {})
    rows = [
        _row(MODEL / name, graph, vectors, test.labels[: len(inputs)], threads, arguments.runs)
        for name in ("student.onnx", "student.tflite")
        for threads in (1, 2)
    ]
    provenance.write(arguments.json, {"images": len(inputs), "rows": rows}, {"DIR": arguments.real_data})
    print(json.dumps(rows, indent=1))


def _row(
    model: Path, graph: Any, vectors: golden.Golden, labels: Any, threads: int, runs: int
) -> dict[str, Any]:
    task = bench.task_of(model, graph, vectors, threads=threads)
    found = browser.run(replace(task, runs=runs, warmup=20))
    proof = bench.proof(found, task, model, vectors)
    return {
        "file": model.name,
        "runtime": found.runtime,
        "threads": threads,
        "values": proof.values,
        "identical": proof.identical,
        "accuracy": counted(found.outputs, labels)[0],
        "median_ms": float(np.median(found.samples_ms)),
        "p90_ms": float(np.percentile(found.samples_ms, 90)),
        "calls": int(found.samples_ms.size * found.batch),
        "memory_bytes": found.memory_bytes,
    }


if __name__ == "__main__":
    main()
