"""Instructions of MLPerf Tiny's int8 networks in LiteRT and ONNX Runtime on an emulated 64-bit Arm, as JSON.

    python -m benchmarks.aarch64_runtimes --real-data DIR [--cpus NAME[,NAME]] [--memory] [--json FILE]

DIR/mlperf_tiny holds the four .tflite files. Each is run as it is, and as `edgedistill compile` prints it for
both runtimes; so is the kept ResNet-8 of models/cifar10-resnet8, on its golden inputs. What ours answer is
compared with the interpreter. A processor is one boot of Debian's kernel in QEMU with the runtimes' wheels; a
count of instructions is no time. With --memory every file has a process of its own, whose peak is given.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import provenance
from benchmarks.mlperf_tiny_bits import MODELS
from edgedistill.compiler import random_inputs
from edgedistill.export import EXPORTERS
from edgedistill.export.metadata import Metadata
from edgedistill.ir import golden, interpret, plan
from edgedistill.read import read
from edgedistill.runners import aarch64_system
from edgedistill.runners.aarch64_system import Counted, Runtime, Task
from edgedistill.target import Format

KEPT = Path(__file__).parent.parent / "models" / "cifar10-resnet8"
PRINTED: tuple[tuple[Format, Runtime, str], ...] = (
    ("tflite", "litert", "TFLite"),
    ("onnx", "onnxruntime", "ONNX"),
)
INPUTS = 4
EARLIER = {  # LiteRT 2.3, measured the same way before this code was written, to two or three digits
    "pretrainedResnet_quant": {"cortex-a53": 5.02e6, "cortex-a72": 4.33e6, "cortex-a76": 1.51e6},
    "kws_ref_model": {"cortex-a53": 1.34e6, "cortex-a72": 1.95e6, "cortex-a76": 0.72e6},
    "vww_96_int8": {"cortex-a53": 4.02e6, "cortex-a72": 3.62e6, "cortex-a76": 1.93e6},
    "ad01_int8": {"cortex-a53": 0.14e6, "cortex-a72": 0.10e6, "cortex-a76": 0.05e6},
}


@dataclass(frozen=True, eq=False)
class Row:
    """One file to run, and what the interpreter answers to its inputs, where it has to answer the same."""

    network: str
    file: str  # "as it is", "edgedistill, TFLite", "edgedistill, ONNX"
    task: Task
    expected: NDArray[np.int8] | None


def rows_of(path: Path, folder: Path, alone: bool) -> list[Row]:
    """A network as it is, and as it is printed for both runtimes into ``folder``."""
    network = path.stem
    graph = read(path).graph.replace(name=network)
    x = random_inputs(graph, INPUTS)
    expected = np.asarray(interpret.run(graph, {graph.inputs[0]: x})[graph.outputs[0]], np.int8)
    rows = [Row(network, "as it is", Task(path, "litert", alone=alone), None)]
    for name, runtime, title in PRINTED:
        printed = folder / f"{network}.{name}"
        EXPORTERS[name].write(graph, Metadata(network, "", graph.labels, 1.0, 0, "0"), printed)
        task = Task(printed, runtime, x, alone)
        rows.append(Row(network, f"edgedistill, {title}", task, expected))
    return rows


def kept_rows(alone: bool) -> list[Row]:
    """The student of models/cifar10-resnet8 on its golden inputs."""
    vectors = golden.load(KEPT / "golden.npz")
    return [
        Row(
            KEPT.name,
            f"edgedistill, {title}",
            Task(KEPT / f"student.{name}", runtime, vectors.inputs, alone),
            vectors.outputs,
        )
        for name, runtime, title in PRINTED
    ]


def result(row: Row, found: Counted, macs: int) -> dict[str, Any]:
    """For the JSON file; printed on the way."""
    earlier = EARLIER.get(row.network, {}).get(found.cpu) if row.file == "as it is" else None
    out = {
        "network": row.network,
        "file": row.file,
        "cpu": found.cpu,
        "runtime": found.runtime,
        "instructions": found.least,
        "all_runs": list(found.instructions),
        "per_mac": round(found.least / macs, 4),
        "earlier": earlier,
        "peak_rss_bytes": found.peak_bytes,
        "rss_without_model_bytes": found.baseline_bytes,
    }
    words = "" if earlier is None else f", earlier {earlier / 1e6:.2f} M"
    if row.expected is not None:
        assert found.outputs is not None
        differ = int((found.outputs.reshape(row.expected.shape) != row.expected).sum())
        out |= {"values": row.expected.size, "differ": differ}
        words += f", {differ} of {row.expected.size} values differ"
    if found.peak_bytes is not None:
        words += f", peak RSS {found.peak_bytes / 1e6:.1f} MB"
    print(f"{found.cpu} {row.network:24}{row.file:22}{found.least:>11,}{words}", flush=True)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real-data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--cpus", default=",".join(aarch64_system.CPUS), metavar="NAME[,NAME]")
    parser.add_argument("--memory", action="store_true", help="peak memory, which takes longer")
    parser.add_argument("--json", type=Path, help="where the result goes")
    arguments = parser.parse_args()
    reason = aarch64_system.reason_not_runnable()
    if reason is not None:
        sys.exit(f"not run: {reason}")
    networks = [arguments.real_data / "mlperf_tiny" / f"{name}.tflite" for name in MODELS]
    found = []
    with tempfile.TemporaryDirectory() as temporary:
        rows = [row for path in networks for row in rows_of(path, Path(temporary), arguments.memory)]
        rows += kept_rows(arguments.memory)
        macs = {path.stem: sum(plan.macs(read(path).graph).values()) for path in networks}
        macs[KEPT.name] = sum(plan.macs(read(KEPT / "student.tflite").graph).values())
        for cpu in arguments.cpus.split(","):
            counted = aarch64_system.run([row.task for row in rows], cpu=cpu)
            found += [result(r, one, macs[r.network]) for r, one in zip(rows, counted, strict=True)]
            if arguments.json:  # after each processor: a boot takes a while
                words = {"DIR": arguments.real_data, ".": Path.cwd()}
                provenance.write(arguments.json, {**about(), "rows": found}, words)


def about() -> dict[str, Any]:
    packages = aarch64_system.gather().packages
    return {"how": "emulated", "emulator": aarch64_system.version(), "system": list(packages)}


if __name__ == "__main__":
    main()
