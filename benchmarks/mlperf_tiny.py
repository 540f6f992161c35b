"""MLPerf Tiny's four int8 networks as C: bytes, instructions, RAM and flash beside TensorFlow Lite Micro's.

    python benchmarks/mlperf_tiny.py --real-data DIR [--inputs 100] [--json FILE]

DIR/mlperf_tiny holds the four .tflite files. Each network is compiled once, runs as firmware on every core
of CORES in QEMU, as a program for 64-bit Arm in QEMU and on this machine, and is compared with the
interpreter in every byte. Ends with 1 where a byte differs. Needs what `make devices` installs.
"""

from __future__ import annotations

import argparse
import functools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import provenance
from mcu_instructions import measure
from numpy.typing import NDArray

from edgedistill import target
from edgedistill.compiler import random_inputs
from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.ir import interpret
from edgedistill.ir.graph import Graph
from edgedistill.read import read
from edgedistill.runners import aarch64, c_here, cortex_m

CORES = ("cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")
JUDGED = "cortex-m4"  # whose RAM and flash the goals speak of
COMPILE_GOAL_S = 2.0
COMPILE_RUNS = 3
KIB = 1024

Int8 = NDArray[np.int8]


@dataclass(frozen=True)
class Yardstick:
    """What TensorFlow Lite Micro with CMSIS-NN takes; instructions by core."""

    instructions: dict[str, int]
    ram_bytes: int  # arena, stack and static
    flash_besides_weights_bytes: int


@dataclass(frozen=True)
class Network:
    """One file, the yardstick's figures for it, and what we want to stay within on a Cortex-M4."""

    file: str
    tflm: Yardstick
    instructions: int
    ram_bytes: int
    flash_besides_weights_bytes: int


TFLM_SOURCE = (
    "measured earlier on the same emulator and compiler (QEMU 7.2 with -icount, arm-none-eabi-gcc 12.2.1): "
    "kernels of CMSIS-NN at -O2, int8-only registrations, one inference; not measured again by this run"
)


def tflm(m4: int, m7: int, m55: int, ram_bytes: int, flash_bytes: int) -> Yardstick:
    """A row of TFLM_SOURCE."""
    return Yardstick({"cortex-m4": m4, "cortex-m7": m7, "cortex-m55": m55}, ram_bytes, flash_bytes)


NETWORKS = {
    "IC": Network(
        file="pretrainedResnet_quant",
        tflm=tflm(29_860_000, 30_030_000, 4_910_000, 56_600, 51_496),
        instructions=18_000_000,
        ram_bytes=38 * KIB,
        flash_besides_weights_bytes=12 * KIB,
    ),
    "KWS": Network(
        file="kws_ref_model",
        tflm=tflm(7_700_000, 7_640_000, 1_810_000, 24_400, 53_694),
        instructions=5_000_000,
        ram_bytes=18 * KIB,
        flash_besides_weights_bytes=12 * KIB,
    ),
    "VWW": Network(
        file="vww_96_int8",
        tflm=tflm(24_100_000, 24_030_000, 6_560_000, 102_300, 53_680),
        instructions=13_000_000,
        ram_bytes=62 * KIB,
        flash_besides_weights_bytes=12 * KIB,
    ),
    "AD": Network(
        file="ad01_int8",
        tflm=tflm(583_000, 583_000, 150_000, 3_900, 29_864),
        instructions=420_000,
        ram_bytes=2 * KIB,
        flash_besides_weights_bytes=6 * KIB,
    ),
}


@dataclass(frozen=True)
class Goal:
    """A figure beside what it should not exceed and the yardstick's; ``goal`` None: only shown."""

    quantity: str
    core: str
    value: float
    goal: float | None
    tflm: float | None

    @property
    def met(self) -> bool | None:
        return None if self.goal is None else self.value <= self.goal


def goals(network: Network, cores: dict[str, Any], compile_s: float) -> Iterator[Goal]:
    """Every goal of one network; ``cores``: what ``measure`` gave, of those that ran."""
    for core, found in cores.items():
        theirs = network.tflm.instructions.get(core)
        limits = {JUDGED: network.instructions, "cortex-m55": theirs}
        yield Goal("instructions", core, found["instructions"], limits.get(core), theirs)
        if core == JUDGED:
            for name in ("ram_bytes", "flash_besides_weights_bytes"):
                yield Goal(name, core, found[name], getattr(network, name), getattr(network.tflm, name))
    yield Goal("compile_s", "", compile_s, COMPILE_GOAL_S, None)


def compile_seconds(path: Path, folder: Path) -> float:
    """The fastest of COMPILE_RUNS whole runs of the command, Python's start included."""
    command = [
        sys.executable,
        "-m",
        "edgedistill",
        "compile",
        path,
        "--target",
        JUDGED,
        "--out",
        folder / "out",
    ]
    taken = []
    for _ in range(COMPILE_RUNS):
        started = time.perf_counter()
        subprocess.run(list(map(str, [*command, "--quiet"])), check=True, stderr=subprocess.DEVNULL)
        taken.append(time.perf_counter() - started)
    return round(min(taken), 3)


def equality(
    how: str,
    reason: str | None,
    run: Callable[[Path, Int8], tuple[Int8, str]],
    folder: Path,
    x: Int8,
    expected: Int8,
) -> dict[str, Any]:
    """On how many inputs a program of the C files answers as the interpreter, in every byte."""
    if reason is not None:
        return {"how": "not run", "reason": reason}
    got, compiler = run(folder, x)
    equal = int((got == expected.reshape(len(x), -1)).all(axis=1).sum())
    return {"how": how, "inputs": len(x), "equal_outputs": equal, "compiler": compiler}


def of_network(path: Path, inputs: int, folder: Path) -> dict[str, Any]:
    """Everything but the goals."""
    graph: Graph = read(path).graph.replace(name=path.stem)
    x = random_inputs(graph, inputs)
    x[0], x[-1] = -128, 127
    expected = np.asarray(interpret.run_batched(graph, {graph.inputs[0]: x})[graph.outputs[0]], np.int8)
    c.write(graph, Metadata(path.stem, "Under test.", graph.labels, 1.0, 0, "0"), folder / "c")
    files = folder / "c"
    here = equality("measured", c_here.reason_not_runnable(), c_here.run, files, x, expected)
    programs = {"this machine": here}
    for name in aarch64.ARCHITECTURES:
        run = functools.partial(aarch64.run, architecture=name)
        programs[name] = equality("emulated", aarch64.reason_not_runnable(), run, files, x, expected)
    cores: dict[str, Any] = {}
    for core in CORES:
        device = target.load(core)
        reason = cortex_m.reason_not_runnable(device)
        cores[core] = (
            {"how": "not run", "reason": reason} if reason else measure(graph, device, x, folder / core)
        )
    return {"compile_s": compile_seconds(path, folder), "cores": cores, "programs": programs}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real-data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--inputs", type=int, default=100)
    parser.add_argument("--json", type=Path, help="where the result goes")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"tflm_source": TFLM_SOURCE, "networks": {}}
    different = False
    for name, network in NETWORKS.items():
        path = arguments.real_data / "mlperf_tiny" / f"{network.file}.tflite"
        with tempfile.TemporaryDirectory() as folder:
            found = of_network(path, arguments.inputs, Path(folder))
        ran = {core: row for core, row in found["cores"].items() if row["how"] != "not run"}
        judged = tuple(goals(network, ran, found["compile_s"]))
        result["networks"][name] = {
            "file": path.name,
            **found,
            "goals": [{**asdict(goal), "met": goal.met} for goal in judged],
        }
        for goal in judged:
            word = {True: "met", False: "MISSED", None: "no goal"}[goal.met]
            print(f"{name:4}{goal.core:11}{goal.quantity:28}{goal.value:>13,} {goal.goal} {goal.tflm} {word}")
        for where, row in {**found["cores"], **found["programs"]}.items():
            equal, of = row.get("equal_outputs"), row.get("inputs")
            print(f"{name:4}{where}: {row.get('reason') or f'{equal} of {of} outputs equal'}", flush=True)
            different |= equal != of
    if arguments.json:
        provenance.write(arguments.json, result, {"DIR": arguments.real_data})
    if different:
        sys.exit("a byte differs from the interpreter's")


if __name__ == "__main__":
    main()
