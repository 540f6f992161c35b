"""Cycles per instruction of Raspberry Pis: published times of int8 MobileNets over instructions counted here.

    python benchmarks/cycles_per_instruction.py --json FILE

XNNPACK's README (8 February 2022, end2end_bench, random weights, int8 by channels) states milliseconds of
MobileNet v1 and v2 on a Raspberry Pi 4 with 64-bit Linux and as many threads as cores. The same networks,
with random weights, run here in LiteRT with XNNPACK on an emulated Cortex-A72 with one thread, and their
instructions are counted. Four cores at 1.5 GHz for that time have as many cycles as the threads took or
waited, so what comes out is an upper bound of one thread's cycles per instruction, in a later XNNPACK.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import provenance
import torch
from torch import nn

from edgedistill.export import tflite
from edgedistill.export.metadata import Metadata
from edgedistill.ir import plan
from edgedistill.ir.graph import Graph
from edgedistill.quant import ranges
from edgedistill.quant.integer import to_integer
from edgedistill.runners import aarch64_system
from edgedistill.students.mobilenet import InvertedResidual, convolution
from edgedistill.teaching import float_graph

CORES, SIDE, CLASSES = 4, 224, 1000


@dataclass(frozen=True)
class Board:
    """A row of the published table."""

    cpu: str
    clock_hz: int  # as Raspbian Buster ran it
    published_ms: Mapping[str, float]


BOARDS = {
    "raspberry-pi-4": Board("cortex-a72", 1_500_000_000, {"mobilenet-v1": 24.0, "mobilenet-v2": 17.0}),
    "raspberry-pi-3": Board("cortex-a53", 1_400_000_000, {"mobilenet-v1": 46.0, "mobilenet-v2": 30.0}),
}


def mobilenet_v1() -> nn.Module:
    """Howard et al. 2017, table 1, width 1."""
    layers: list[nn.Module] = [convolution(3, 32, 3, 2)]
    inputs = 32
    for outputs, stride in (
        *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
        *(((512, 1),) * 5),
        *((1024, 2), (1024, 1)),
    ):
        layers += [convolution(inputs, inputs, 3, stride, groups=inputs), convolution(inputs, outputs, 1, 1)]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, CLASSES))


def mobilenet_v2() -> nn.Module:
    """Sandler et al. 2018, table 2, width 1."""
    layers: list[nn.Module] = [convolution(3, 32, 3, 2)]
    inputs = 32
    for expansion, outputs, count, stride in (
        *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
        *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
    ):
        for block in range(count):
            layers.append(InvertedResidual(inputs, outputs, stride if block == 0 else 1, expansion, 3))
            inputs = outputs
    layers.append(convolution(inputs, 1280, 1, 1))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, CLASSES))


def integer(net: nn.Module) -> Graph:
    """Its int8 graph with any weights."""
    graph = float_graph(net, (SIDE, SIDE, 3), tuple(map(str, range(CLASSES))))
    return to_integer(graph, ranges.choose(graph, {}))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    graphs = {"mobilenet-v1": integer(mobilenet_v1()), "mobilenet-v2": integer(mobilenet_v2())}
    with tempfile.TemporaryDirectory() as temporary:
        paths = [Path(temporary) / f"{name}.tflite" for name in graphs]
        for path, graph in zip(paths, graphs.values(), strict=True):
            tflite.write(graph, Metadata(path.stem, "", graph.labels, 1.0, 0, "0"), path)
        rows = {name: of_board(board, graphs, paths) for name, board in BOARDS.items()}
    provenance.write(arguments.json, {"how": "emulated", "boards": rows}, {})


def of_board(board: Board, graphs: Mapping[str, Graph], paths: Sequence[Path]) -> dict[str, Any]:
    """Both networks on one core."""
    rows: dict[str, Any] = {"cpu": board.cpu, "clock_hz": board.clock_hz, "cores": CORES}
    counted = aarch64_system.count(paths, cpu=board.cpu, runtime="litert")
    for (name, graph), found in zip(graphs.items(), counted, strict=True):
        cycles = board.published_ms[name] * 1e-3 * board.clock_hz * CORES
        rows[name] = {
            "macs": sum(plan.macs(graph).values()),
            "instructions": found.least,
            "runtime": found.runtime,
            "published_ms": board.published_ms[name],
            "cycles_per_instruction": cycles / found.least,
        }
        print(board.cpu, name, rows[name], flush=True)
    return rows


if __name__ == "__main__":
    main()
