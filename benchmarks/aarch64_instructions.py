"""Instructions of MLPerf Tiny's int8 networks in C on an emulated 64-bit Arm: plain C beside NEON, as JSON.

    python -m benchmarks.aarch64_instructions --real-data DIR [--json FILE]

DIR/mlperf_tiny holds the four .tflite files. QEMU logs each block of code that it runs, and its instructions;
what a second input adds is one inference, and the driver's reading of it. Every byte is compared with the
interpreter. A count of instructions is no time: a vector of 16 bytes counts as one. Needs GCC for 64-bit Arm
and QEMU's user mode.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import provenance
from benchmarks.mlperf_tiny_bits import MODELS
from edgedistill.compiler import random_inputs
from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.ir import interpret, plan
from edgedistill.read import read
from edgedistill.runners import aarch64, c_program

VARIANTS = {
    "plain C": (f"-march={aarch64.ARCHITECTURES[0]}", "-DEDGE_PORTABLE"),
    "NEON": (f"-march={aarch64.ARCHITECTURES[0]}",),
    "NEON with dot products": (f"-march={aarch64.ARCHITECTURES[1]}",),
}


def total(log: Iterable[str]) -> int:
    """Instructions that ran, by QEMU's log of what it translated (in_asm) and then ran (exec,nochain)."""
    lengths: dict[int, int] = {}
    found, start, first = 0, 0, False
    for line in log:
        if line.startswith("Trace"):
            found += lengths[int(line.split("/")[1], 16)]
        elif line.startswith("IN:"):
            first = True
        elif line.startswith("0x"):
            if first:
                start = int(line.split(":")[0], 16)
                lengths[start], first = 0, False
            lengths[start] += 1
    return found


def run(folder: Path, x: NDArray[np.int8], flags: tuple[str, ...]) -> tuple[NDArray[np.int8], int]:
    """Outputs int8 [N, bytes], and the instructions of the whole program."""
    with tempfile.TemporaryDirectory() as temporary:
        pipe = Path(temporary) / "log"
        os.mkfifo(pipe)
        counts: list[int] = []

        def read_log() -> None:
            with pipe.open(encoding="utf-8", errors="replace") as log:
                counts.append(total(log))

        reader = threading.Thread(target=read_log, daemon=True)
        reader.start()
        cc = (aarch64.CC, *c_program.FLAGS, *flags, "-static")
        qemu = (aarch64.QEMU, "-cpu", aarch64.CPU, "-d", "in_asm,exec,nochain", "-D", str(pipe))
        outputs = c_program.answers(folder, x, cc, under=qemu)
        reader.join()
        return outputs, counts[0]


def of_network(path: Path) -> dict[str, Any]:
    """Instructions of one inference and per multiplication, by variant."""
    graph = read(path).graph.replace(name=path.stem)
    x = random_inputs(graph, 2)
    expected = np.asarray(interpret.run(graph, {graph.inputs[0]: x})[graph.outputs[0]], np.int8).reshape(
        2, -1
    )
    macs = sum(plan.macs(graph).values())
    found: dict[str, Any] = {"macs": macs, "variants": {}}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        c.write(graph, Metadata(path.stem, "Under test.", graph.labels, 1.0, 0, "0"), folder)
        for name, flags in VARIANTS.items():
            both, of_both = run(folder, x, flags)
            first, of_first = run(folder, x[:1], flags)
            count = of_both - of_first
            equal = bool((both == expected).all() and (first == expected[:1]).all())
            found["variants"][name] = {
                "instructions": count,
                "per_mac": round(count / macs, 4),
                "equal_outputs": equal,
            }
            print(f"{path.stem:24}{name:24}{count:>13,}{count / macs:8.3f} a MAC, equal: {equal}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real-data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--json", type=Path, help="where the result goes")
    arguments = parser.parse_args()
    reason = aarch64.reason_not_runnable()
    if reason is not None:
        sys.exit(f"not run: {reason}")
    networks = {name: of_network(arguments.real_data / "mlperf_tiny" / f"{name}.tflite") for name in MODELS}
    if arguments.json:
        result = {"how": "emulated", "compiler": c_program.version(aarch64.CC), "networks": networks}
        provenance.write(arguments.json, result, {"DIR": arguments.real_data, ".": Path.cwd()})
    if not all(row["equal_outputs"] for net in networks.values() for row in net["variants"].values()):
        sys.exit("a byte differs from the interpreter's")


if __name__ == "__main__":
    main()
