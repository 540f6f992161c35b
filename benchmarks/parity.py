"""Every output value of finished CIFAR-10 builds in every runtime and setting, compared with the interpreter.

    python benchmarks/parity.py --real-data DIR --json FILE OUT/android-arm64 [OUT2/android-arm64 ...]

All test images; LiteRT with XNNPACK and ONNX Runtime (family F) and LiteRT's reference kernels
(family D); ONNX Runtime at every graph-optimisation level, 1 and 2 threads, batches 1, 16 and 250;
every value of every layer on 100 images; the QDQ form with and without its option.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import provenance
from numpy.typing import NDArray

from edgedistill import data as data_sets
from edgedistill.bench.accuracy import to_int8
from edgedistill.bench.compare import compare
from edgedistill.bench.parity import layerwise
from edgedistill.bench.reference import litert_reference, litert_reference_values
from edgedistill.export import onnx
from edgedistill.export.metadata import Metadata
from edgedistill.ir import interpret, serial
from edgedistill.ir.graph import Graph
from edgedistill.recipe import DataSection
from edgedistill.runners import Runner
from edgedistill.runners.litert import LiteRt
from edgedistill.runners.ort import Ort

Int8 = NDArray[np.int8]
LAYERS = 100  # images whose values inside are compared
META = Metadata("student", "for comparison", (), 1 / 64, 0, "")


def settings(folder: Path, graph: Graph) -> Iterator[tuple[dict[str, object], Runner, int]]:
    """What is compared with family F: its description, the loaded model, the batch."""
    for threads in (1, 2):
        for batch in (1, 16, 250):
            about: dict[str, object] = {"threads": threads, "batch": batch}
            lite = LiteRt(folder / "student.tflite", threads=threads)
            yield {"runtime": lite.name, **about}, lite, batch
            for level in ("disabled", "basic", "extended", "all"):
                ort = Ort(folder / "student.onnx", threads=threads, level=level)
                yield {"runtime": f"onnxruntime {ort.version}", **about, "level": level}, ort, batch
    qdq = onnx.to_bytes(graph, META, "qdq")
    for allowed in (True, False):
        ort = Ort(qdq, qdq_int8=allowed)
        name = "session.qdqisint8allowed=1" if allowed else "default options"
        yield (
            {"runtime": f"onnxruntime {ort.version}", "form": "qdq", "options": name, "batch": 250},
            ort,
            250,
        )


def against(expected: Int8, runner: Runner, x: Int8, batch: int) -> dict[str, Any]:
    """Counts of one setting."""
    started = time.perf_counter()
    got = np.concatenate([runner.run(x[i : i + batch]) for i in range(0, len(x), batch)])
    identical, values, worst, flips = compare(expected, got)
    seconds = round(time.perf_counter() - started, 2)
    return {"values": values, "identical": identical, "max_lsb": worst, "top1_flips": flips, "s": seconds}


def layers(graph: Graph, folder: Path, x: Int8) -> list[dict[str, Any]]:
    """Every value that a runtime shows, layer by layer."""
    every_f = interpret.run(graph, {graph.inputs[0]: x}, keep=True)
    every_d = litert_reference_values(graph, x)
    found = []
    for runner, name, every in (
        (LiteRt(folder / "student.tflite"), "litert-xnnpack", every_f),
        (Ort(folder / "student.onnx"), "onnxruntime", every_f),
        (LiteRt(folder / "student.tflite", reference=True), "litert-reference", every_d),
    ):
        shown = runner.run_all(x)
        pairs = [(every[n], shown[n]) for n in graph.activations() if n in shown]
        pairs = [(a, b) for a, b in pairs if a.shape == b.shape and b.dtype == np.int8]
        found.append(
            {
                "runtime": name,
                "images": len(x),
                "tensors": len(pairs),
                "values": sum(a.size for a, _ in pairs),
                "identical": sum(int((a == b).sum()) for a, b in pairs),
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real-data", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--images", type=int, help="fewer than all test images")
    parser.add_argument("folders", type=Path, nargs="+")
    arguments = parser.parse_args()
    section = DataSection(source=str(arguments.real_data / "cifar10"), validation_share=0.01)
    with tempfile.TemporaryDirectory() as cache:
        images = np.asarray(data_sets.load(section, seed=0, cache=Path(cache)).test.images_NHWC)
    x = to_int8(images[: arguments.images])
    builds = []
    for folder in arguments.folders:
        graph = serial.load(folder / "graph.npz")
        expected = np.asarray(interpret.run_batched(graph, {graph.inputs[0]: x})[graph.outputs[0]], np.int8)
        rows = []
        for about, runner, batch in settings(folder, graph):
            rows.append({"family": "F", **about, **against(expected, runner, x, batch)})
            print(json.dumps(rows[-1]), flush=True)
        reference = LiteRt(folder / "student.tflite", reference=True)
        row = against(litert_reference(graph, x), reference, x, 250)
        rows.append({"family": "D", "runtime": reference.name, "threads": 1, "batch": 250, **row})
        print(json.dumps(rows[-1]), flush=True)
        first = layerwise(graph, folder, x[:LAYERS])
        builds.append(
            {
                "student": json.loads((folder / "record.json").read_text())["recipe"]["student"]["spec"],
                "images": len(x),
                "settings": rows,
                "layers": layers(graph, folder, x[:LAYERS]),
                "first_difference": str(first) if first else None,
            }
        )
        print(json.dumps(builds[-1]["layers"]), flush=True)
    folders = {f"BUILD{number}": folder for number, folder in enumerate(arguments.folders, 1)}
    provenance.write(arguments.json, {"builds": builds}, {"DIR": arguments.real_data, **folders})


if __name__ == "__main__":
    main()
