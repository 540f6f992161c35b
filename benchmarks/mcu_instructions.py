"""Instructions, RAM and flash of a model's C on an emulated Cortex-M, byte for byte compared, as JSON.

    python benchmarks/mcu_instructions.py GRAPH.npz [--target NAME] [--inputs N] [--json FILE]

Flash besides the weights is what the linked model adds to an image (code, its part of the compiler's library,
tables) and a .tflite file of the network would not hold: kernels, biases and per-channel scales count as
weights, the constant kernel of an average does not.
Needs what `make devices` installs. QEMU counts instructions exactly and knows nothing of cycles.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill import target
from edgedistill.bench.emulated import with_random
from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.ir import golden, plan, serial
from edgedistill.ir.graph import Graph
from edgedistill.runners import cortex_m
from edgedistill.target import Target

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror")


def measure(graph: Graph, device: Target, inputs: NDArray[np.int8], folder: Path) -> dict[str, Any]:
    """What one inference takes, and on how many inputs the outputs are the interpreter's."""
    c.write(graph, Metadata("bench", "Under test.", graph.labels, 1.0, 0, "0"), folder / "c")
    inputs, expected = with_random(graph, inputs, len(inputs))
    found = cortex_m.run(folder / "c", device, inputs, more=WARNINGS, keep=folder)
    weights, macs = plan.network_bytes(graph), sum(plan.macs(graph).values())
    most = max(found.instructions)
    return {
        "how": "emulated",
        "target": device.name,
        "machine": found.machine,
        "inputs": len(inputs),
        "equal_outputs": int((found.outputs == expected.reshape(len(inputs), -1)).all(axis=1).sum()),
        "instructions": most,
        "instructions_spread": most - min(found.instructions),
        "repeat_spread": found.repeat_spread,
        "instructions_per_mac": round(most / macs, 4),
        "macs": macs,
        "arena_bytes": found.arena_bytes,
        "stack_bytes": found.stack_bytes,
        "ram_bytes": found.ram_bytes,
        "model_sections": asdict(found.model),
        "linked_bytes": found.linked_bytes,
        "flash_besides_weights_bytes": found.linked_bytes - weights,
        "weight_bytes": weights,
        "compiler": found.compiler,
        "emulator": found.emulator,
        "flags": found.flags,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("graph", type=Path, help="a build's graph.npz")
    parser.add_argument("--target", default="cortex-m4", help="a target with an emulator, or a target file")
    parser.add_argument("--inputs", type=int, default=4)
    parser.add_argument("--json", type=Path, help="where the result goes")
    parser.add_argument("--keep", type=Path, help="a folder for the sources and the image")
    arguments = parser.parse_args()
    device = target.load(arguments.target)
    reason = cortex_m.reason_not_runnable(device)
    if reason is not None:
        sys.exit(f"not run: {reason}")
    graph = serial.load(arguments.graph)
    beside = arguments.graph.with_name("golden.npz")
    real = golden.load(beside).inputs if beside.exists() else np.zeros((0,), np.int8)
    shape = graph.tensors[graph.inputs[0]].shape[1:]
    inputs, _ = with_random(graph, real.reshape(-1, *shape)[: arguments.inputs], arguments.inputs)
    with tempfile.TemporaryDirectory() as temporary:
        result = measure(graph, device, inputs, arguments.keep or Path(temporary))
    text = json.dumps(result, indent=1)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    print(text)
    if result["equal_outputs"] != result["inputs"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
