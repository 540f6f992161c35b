"""Which family computes each operator of the four MLPerf Tiny networks, and how far whole networks agree.

    python benchmarks/mlperf_tiny_bits.py FOLDER [--inputs 32] [--json FILE]

FOLDER holds the four int8 .tflite files of MLPerf Tiny. Each operator gets LiteRT's own inputs, so
that its difference is its own; a whole network starts from random int8 inputs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.bench.reference import litert_reference_values
from edgedistill.compiler import random_inputs
from edgedistill.ir import interpret, plan, verify
from edgedistill.ir.graph import Graph, Op
from edgedistill.read import read
from edgedistill.runners.litert import LiteRt

Values = dict[str, NDArray[Any]]
Compute = Callable[[Graph, Values], Values]

MODELS = ("pretrainedResnet_quant", "kws_ref_model", "vww_96_int8", "ad01_int8")


def family_f(graph: Graph, given: Values) -> Values:
    return interpret.run(graph, given, "F", keep=True)


def family_d(graph: Graph, given: Values) -> Values:
    return interpret.run(graph, given, "D", keep=True)


def reference(graph: Graph, given: Values) -> Values:
    """Family D, fully connected layers rounding once: only for one input, as LiteRT's own kernels."""
    if len(given) > 1:
        return family_d(graph, given)
    (x,) = given.values()
    return litert_reference_values(graph, x)


FAMILIES: dict[str, Compute] = {"F": family_f, "D": family_d, "D, FULLY_CONNECTED once": reference}


def kind_of(op: Op) -> str:
    return "AVERAGE_POOL_2D" if getattr(op.attrs, "constant", False) else op.kind


def compare(graph: Graph, theirs: Values, compute: Compute) -> dict[str, dict[str, int]]:
    """By kind of operator: values, how many differ, and by how much at most."""
    rows: dict[str, dict[str, int]] = {}
    for op in graph.ops:
        given = {name: theirs[name] for name in op.inputs if graph.tensors[name].data is None}
        alone = graph.replace(ops=(op,), inputs=tuple(given), outputs=op.outputs)
        off = np.abs(compute(alone, given)[op.outputs[0]].astype(np.int32) - theirs[op.outputs[0]])
        row = rows.setdefault(kind_of(op), {"values": 0, "differ": 0, "max_lsb": 0})
        row["values"] += off.size
        row["differ"] += int((off != 0).sum())
        row["max_lsb"] = max(row["max_lsb"], int(off.max()))
    return rows


def measure(path: Path, inputs: int) -> dict[str, Any]:
    started = time.perf_counter()
    loaded = read(path)
    read_s = time.perf_counter() - started
    graph = loaded.graph
    x = random_inputs(graph, inputs)
    arena = plan.arena(graph)
    found: dict[str, Any] = {
        "read_s": round(read_s, 3),
        "macs": sum(plan.macs(graph).values()),
        "arena_bytes": arena.peak,
        "arena_lower_bound_bytes": arena.lower_bound,
        "weight_bytes": plan.weight_bytes(graph),
        "notes": loaded.notes,
        "inexact": verify.inexact(graph),
        "kernels": {},
    }
    for kernels in ("xnnpack", "reference"):
        theirs = LiteRt(path, reference=kernels == "reference").run_all(x)
        families = {}
        for name, compute in FAMILIES.items():
            off = np.abs(
                compute(graph, {graph.inputs[0]: x})[graph.outputs[0]].astype(np.int32)
                - theirs[graph.outputs[0]]
            )
            families[name] = {
                "operators": compare(graph, theirs, compute),
                "outputs": {"identical": float((off == 0).mean()), "max_lsb": int(off.max())},
            }
        found["kernels"][kernels] = families
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--inputs", type=int, default=32)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    result = {name: measure(args.folder / f"{name}.tflite", args.inputs) for name in MODELS}
    for name, found in result.items():
        for kernels, families in found["kernels"].items():
            for family, row in families.items():
                differ = sum(kind["differ"] for kind in row["operators"].values())
                values = sum(kind["values"] for kind in row["operators"].values())
                outputs = f"{row['outputs']['identical']:.2%} of outputs, {row['outputs']['max_lsb']} LSB"
                print(f"{name} {kernels} against {family}: {differ} of {values} values in layers; {outputs}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
