"""MLPerf Tiny's networks as C of family D beside LiteRT's reference kernels, and flash planned and linked.

    python benchmarks/mlperf_tiny_family_d.py --real-data DIR [--inputs 32] [--json FILE]

DIR/mlperf_tiny holds the four int8 .tflite files. The C runs here; ends with 1 where a byte differs from the
interpreter's family D, and the reference kernels owe it nothing. Flash is of a Cortex-M4, in both families.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any, get_args

import numpy as np
import provenance
from mlperf_tiny_bits import MODELS
from numpy.typing import NDArray

from edgedistill import target
from edgedistill.compiler import random_inputs
from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.ir import interpret
from edgedistill.ir.graph import Graph
from edgedistill.ir.interpret import Family
from edgedistill.read import read
from edgedistill.runners import c_here, c_source, cortex_m
from edgedistill.runners.cortex_m import firmware
from edgedistill.runners.litert import LiteRt
from edgedistill.sizing.flash import of_printed

META = Metadata("net", "Under test.", (), 1.0, 0, "0")
M4 = target.load("cortex-m4")

Int8 = NDArray[np.int8]


def answers(path: Path, graph: Graph, x: Int8, folder: Path) -> dict[str, Any]:
    """How many outputs of the C in ``folder`` are the interpreter's, and how many the reference kernels'."""
    got, compiler = c_here.run(folder, x)
    wanted = interpret.run(graph, {graph.inputs[0]: x}, "D")[graph.outputs[0]].reshape(got.shape)
    reference = LiteRt(path, reference=True)
    theirs = reference.run_all(x)[graph.outputs[0]].reshape(got.shape)
    off = np.abs(got.astype(np.int32) - theirs)
    return {
        "compiler": compiler,
        "outputs": got.size,
        "interpreter_equal": int((got == wanted).sum()),
        "litert": reference.version,
        "reference_equal": int((off == 0).sum()),
        "reference_max_lsb": int(off.max()),
    }


def flash(graph: Graph, printed: c.Model, x: Int8, folder: Path) -> dict[str, Any]:
    """What the C in ``folder`` is planned to take of a Cortex-M4's flash, and what linking it gives."""
    plan = of_printed(printed, graph, M4)
    assert plan is not None, "main has looked for the compiler"
    linked = firmware.compile_model(c_source.find(folder), M4, folder).linked_bytes(x[:1])
    return {**plan.model_dump(), "planned_bytes": plan.total_bytes, "linked_bytes": linked}


def of_network(path: Path, inputs: int) -> dict[str, Any]:
    """Both families' flash, and family D's answers."""
    graph = read(path).graph
    x = random_inputs(graph, inputs)
    found: dict[str, Any] = {"flash": {}}
    family: Family
    for family in get_args(Family):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            printed = c.to_text(graph, META, family)
            c.save(printed, folder)
            found["flash"][family] = flash(graph, printed, x, folder)
            if family == "D":
                found["answers"] = answers(path, graph, x, folder)
    return found


def show(name: str, found: dict[str, Any]) -> None:
    row = found["answers"]
    equal, close = row["interpreter_equal"], row["reference_equal"]
    print(f"{name}: of {row['outputs']:,} outputs {equal:,} are the interpreter's in family D and")
    print(f"  {close:,} the reference kernels', at most {row['reference_max_lsb']} LSB")
    for family, sizes in found["flash"].items():
        parts = ", ".join(f"{part} {sizes[f'{part}_bytes']:,}" for part in ("code", "weight", "table"))
        planned, linked = sizes["planned_bytes"], sizes["linked_bytes"]
        print(
            f"{name}, family {family}: planned {planned:,} ({parts}), "
            f"linked {linked:,} ({linked / planned - 1:+.2%})",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real-data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--inputs", type=int, default=32)
    parser.add_argument("--json", type=Path, help="where the result goes")
    arguments = parser.parse_args()
    reason = c_here.reason_not_runnable() or cortex_m.missing(cortex_m.CC)
    if reason is not None:
        sys.exit(f"not run: {reason}")
    networks: dict[str, Any] = {}
    for name in MODELS:
        path = arguments.real_data / "mlperf_tiny" / f"{name}.tflite"
        networks[name] = of_network(path, arguments.inputs)
        show(name, networks[name])
    if arguments.json:
        result = {"inputs": arguments.inputs, "networks": networks}
        provenance.write(arguments.json, result, {"DIR": arguments.real_data})
    rows = [found["answers"] for found in networks.values()]
    if any(row["interpreter_equal"] != row["outputs"] for row in rows):
        sys.exit("a byte differs from the interpreter's")


if __name__ == "__main__":
    main()
