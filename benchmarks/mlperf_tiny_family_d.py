"""MLPerf Tiny's networks as C of family D beside LiteRT's reference kernels, and flash planned and linked.

    python benchmarks/mlperf_tiny_family_d.py FOLDER [--inputs 32]

FOLDER holds the four int8 .tflite files. The C runs here; flash is of a Cortex-M4, in both families.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import get_args

import numpy as np
from mlperf_tiny_bits import MODELS

from edgedistill import target
from edgedistill.compiler import random_inputs
from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.ir import interpret
from edgedistill.ir.interpret import Family
from edgedistill.read import read
from edgedistill.runners import c_here, c_source
from edgedistill.runners.cortex_m import firmware
from edgedistill.runners.litert import LiteRt
from edgedistill.sizing.flash import planned

META = Metadata("net", "Under test.", (), 1.0, 0, "0")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--inputs", type=int, default=32)
    arguments = parser.parse_args()
    m4 = target.load("cortex-m4")
    for name in MODELS:
        path = arguments.folder / f"{name}.tflite"
        graph = read(path).graph
        x = random_inputs(graph, arguments.inputs)
        for family in get_args(Family):
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary)
                c.write(graph, META, folder, family)
                if family == "D":
                    answers, _ = c_here.run(folder, x)
                    wanted = interpret.run(graph, {graph.inputs[0]: x}, "D")[graph.outputs[0]]
                    theirs = LiteRt(path, reference=True).run_all(x)[graph.outputs[0]]
                    off = np.abs(answers.astype(np.int32) - theirs.reshape(len(x), -1))
                    same = int((answers == wanted.reshape(len(x), -1)).sum())
                    print(f"{name}: of {off.size:,} outputs {same:,} are the interpreter's in family D and")
                    print(f"  {int((off == 0).sum()):,} the reference kernels', at most {int(off.max())} LSB")
                linked = firmware.compile_model(c_source.find(folder), m4, folder).linked_bytes(x[:1])
            plan = planned(graph, m4, family=family)
            assert plan is not None, "needs arm-none-eabi-gcc"
            parts = f"code {plan.code_bytes:,}, weights {plan.weight_bytes:,}, tables {plan.table_bytes:,}"
            difference = linked / plan.total_bytes - 1
            print(
                f"{name}, family {family}: planned {plan.total_bytes:,} ({parts}), "
                f"linked {linked:,} ({difference:+.2%})"
            )


if __name__ == "__main__":
    main()
