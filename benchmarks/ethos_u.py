"""What Vela, Arm's compiler, says of MLPerf Tiny's int8 networks and the kept students on Ethos-U, as JSON.

    python -m benchmarks.ethos_u --real-data DIR [--json FILE]

DIR/mlperf_tiny holds the four .tflite files. "As it is" is the file that was given; "compiled" is the same
network read into the integer graph and printed for the accelerator, without a final softmax; "random" is
that with uniform random weights, as before training. Estimates, not measurements: neither a device nor
Arm's model of one was run. Needs pip install 'edgedistill[npu]'.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import provenance
from benchmarks.mlperf_tiny_bits import MODELS
from edgedistill import target
from edgedistill.export import ethos_u
from edgedistill.export.metadata import Metadata
from edgedistill.ir.graph import Graph
from edgedistill.ir.ops import Conv2D, DepthwiseConv2D, FullyConnected
from edgedistill.read import read
from edgedistill.recipe import builtin_models
from edgedistill.runners import vela

TARGETS = ("corstone-300-ethos-u55-128", "corstone-300-ethos-u65-256")
KEPT = ("cifar10-resnet8", "cifar10-datafree", "speech-commands-dscnn")


def untrained(graph: Graph) -> Graph:
    """Uniform random weights, -127 to 126, but for the constant kernels of means."""
    rng = np.random.default_rng(0)
    new = []
    for op in graph.ops:
        if isinstance(op.attrs, Conv2D | DepthwiseConv2D | FullyConnected) and not getattr(
            op.attrs, "constant", False
        ):
            weights = graph.tensors[op.inputs[1]]
            new.append(replace(weights, data=rng.integers(-127, 128, weights.shape).astype(np.int8)))
    return graph.with_tensors(*new)


def rows(model: str, data: bytes, graph: Graph) -> Iterator[dict[str, Any]]:
    """One for each target and form."""
    meta = Metadata(model, "", (), 1.0, 0, "0")
    compiled, random = (ethos_u.to_bytes(g, meta) for g in (graph, untrained(graph)))
    for name in TARGETS:
        device = target.load(name)
        for form, file in (("as it is", data), ("compiled", compiled), ("random", random)):
            found = vela.estimate(file, device)
            yield {
                "model": model,
                "target": name,
                "form": form,
                "cycles": found.cycles,
                "latency_ms": round(found.latency_ms, 4),
                "sram_bytes": found.sram_bytes,
                "dram_bytes": found.dram_bytes,
                "flash_bytes": found.flash_bytes,
                "file_bytes": len(found.tflite),
                "macs": found.macs,
                "on_npu": found.on_npu,
                "on_cpu": [str(one) for one in found.on_cpu],
                "vela": found.version,
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--real-data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    found: list[dict[str, Any]] = []
    for name in MODELS:
        path = arguments.real_data / "mlperf_tiny" / f"{name}.tflite"
        found += rows(name, path.read_bytes(), read(path).graph)
    for name in KEPT:
        path = Path(str(builtin_models() / name / "student.tflite"))
        found += rows(name, path.read_bytes(), read(path).graph)
    for row in found:
        left = f", on the processor: {'; '.join(row['on_cpu'])}" if row["on_cpu"] else ""
        print(
            f"{row['model']:24} {row['target']:27} {row['form']:9} {row['cycles']:8,} cycles "
            f"{row['latency_ms']:.3f} ms, {row['sram_bytes']:,} B SRAM{left}"
        )
    if arguments.json:
        provenance.write(arguments.json, {"rows": found}, {"DIR": arguments.real_data, ".": Path.cwd()})


if __name__ == "__main__":
    main()
