"""Instructions, RAM and flash of a printed C model on an emulated Cortex-M, byte for byte compared, as JSON.

    python benchmarks/mcu_instructions.py GRAPH.npz [--cpu m3|m4|m4-nofpu|m7|m55] [--inputs N] [--json FILE]

Needs arm-none-eabi-gcc and qemu-system-arm (Debian: gcc-arm-none-eabi libnewlib-arm-none-eabi
qemu-system-arm). QEMU counts instructions exactly (-icount) and knows nothing of cycles.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.ir import golden, plan, serial
from edgedistill.ir.graph import Graph
from edgedistill.ir.interpret import run_batched

HERE = Path(__file__).parent / "mcu"
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror")
OPTIONS = ("-O2", "-ffunction-sections", "-fdata-sections")
ICOUNT_SHIFT = 6  # 2**6 ns of virtual time per instruction


@dataclass(frozen=True)
class Board:
    """QEMU's machine, the compiler's flags, and the counter with its clock."""

    machine: str
    flags: tuple[str, ...]
    fpgaio: int = 0x40028000
    counter_hz: int = 25_000_000

    @property
    def instructions_per_tick(self) -> float:
        return 1e9 / ((1 << ICOUNT_SHIFT) * self.counter_hz)


BOARDS: Mapping[str, Board] = {
    "m3": Board("mps2-an385", ("-mcpu=cortex-m3",)),
    "m4": Board("mps2-an386", ("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")),
    "m4-nofpu": Board("mps2-an386", ("-mcpu=cortex-m4", "-mfloat-abi=soft")),
    "m7": Board("mps2-an500", ("-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16")),
    "m55": Board("mps3-an547", ("-mcpu=cortex-m55", "-mfloat-abi=hard"), 0x49302000, 20_000_000),
}


def command(arguments: Sequence[str | Path], seconds: int = 300) -> str:
    """What a program says, where QEMU puts semihosting too; its own words where it fails."""
    done = subprocess.run(
        [str(a) for a in arguments], capture_output=True, text=True, timeout=seconds, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{arguments[0]} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout + done.stderr


def sections(file: Path) -> dict[str, int]:
    """Bytes of text, rodata, data and bss of an object or image."""
    found = dict.fromkeys(("text", "rodata", "data", "bss"), 0)
    for name, size in re.findall(r"^(\.\S+)\s+(\d+)", command(["arm-none-eabi-size", "-A", file]), re.M):
        kind = name.split(".")[1]
        if kind in found:
            found[kind] += int(size)
    return found


def build(graph: Graph, inputs: NDArray[np.int8], board: Board, folder: Path) -> tuple[Path, Path]:
    """The image, and the model's object."""
    meta = Metadata("bench", "Under test.", graph.labels, 1.0, 0, "0")
    c.write(graph, meta, folder)
    (folder / "model_under_test.h").write_text(
        f'#include "edgedistill_bench.h"\n#define COUNT {len(inputs)}\n'
        f"#define BOARD_FPGAIO {board.fpgaio:#x}\n#define INVOKE edgedistill_bench_invoke\n"
        + "".join(
            f"#define {n} EDGEDISTILL_BENCH_{n}\n" for n in ("INPUT_BYTES", "OUTPUT_BYTES", "ARENA_BYTES")
        )
    )
    values = ",".join(map(str, inputs.reshape(-1).tolist()))
    (folder / "inputs.c").write_text(
        f"#include <stdint.h>\nextern const int8_t inputs[];\nconst int8_t inputs[] = {{{values}}};\n"
    )
    gcc = ["arm-none-eabi-gcc", "-mthumb", *board.flags, *OPTIONS, f"-I{folder}"]
    objects = []
    for source in (
        folder / "edgedistill_bench.c",
        folder / "inputs.c",
        HERE / "startup.c",
        HERE / "firmware.c",
    ):
        strict = WARNINGS if source.parent == folder else ("-fno-tree-loop-distribute-patterns",)
        objects.append(folder / f"{source.stem}.o")
        command([*gcc, *strict, "-c", source, "-o", objects[-1]])
    image = folder / "firmware.elf"
    command([*gcc, "-nostartfiles", "-Wl,--gc-sections", f"-T{HERE / 'mps2.ld'}", "-o", image, *objects])
    return image, objects[0]


def emulate(image: Path, board: Board) -> list[tuple[str, str]]:
    """The lines that the firmware said."""
    quiet = ("-nographic", "-monitor", "none", "-serial", "null")
    host = ("-semihosting-config", "enable=on,target=native", "-icount", f"shift={ICOUNT_SHIFT}")
    said = command(["qemu-system-arm", "-M", board.machine, *quiet, *host, "-kernel", image])
    return [(name, value) for name, value in (row.split() for row in said.splitlines() if " " in row)]


def measure(graph: Graph, board: Board, inputs: NDArray[np.int8], folder: Path) -> dict[str, Any]:
    """What one inference takes, and on how many inputs the outputs are the interpreter's."""
    image, model = build(graph, inputs, board, folder)
    said = emulate(image, board)
    ticks = [int(value, 16) for name, value in said if name == "ticks"]
    overhead = next(int(value, 16) for name, value in said if name == "overhead")
    found = [bytes.fromhex(value) for name, value in said if name == "output"]
    expected = run_batched(graph, {graph.inputs[0]: inputs})[graph.outputs[0]]
    equal = sum(a == b.tobytes() for a, b in zip(found, expected, strict=True))
    stack = next(int(value, 16) for name, value in said if name == "stack")
    instructions = [round((t - overhead) * board.instructions_per_tick) for t in ticks]
    bytes_, arena = sections(model), c.memory(graph).peak
    weights = plan.weight_bytes(graph)
    macs = sum(plan.macs(graph).values())
    return {
        "how": "emulated",
        "machine": board.machine,
        "inputs": len(inputs),
        "equal_outputs": equal,
        "instructions": max(instructions),
        "instructions_spread": max(instructions) - min(instructions),
        "instructions_per_mac": round(max(instructions) / macs, 4),
        "macs": macs,
        "arena_bytes": arena,
        "stack_bytes": stack,
        "ram_bytes": arena + stack + bytes_["data"] + bytes_["bss"],
        "model_sections": bytes_,
        "flash_besides_weights_bytes": bytes_["text"] + bytes_["rodata"] + bytes_["data"] - weights,
        "weight_bytes": weights,
        "compiler": command(["arm-none-eabi-gcc", "--version"]).splitlines()[0],
        "emulator": command(["qemu-system-arm", "--version"]).splitlines()[0],
        "flags": " ".join((*board.flags, *OPTIONS)),
    }


def some_inputs(graph: Graph, beside: Path, count: int) -> NDArray[np.int8]:
    """Golden inputs as far as they go, then random values."""
    shape = (count, *graph.tensors[graph.inputs[0]].shape[1:])
    inputs = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
    if beside.exists():
        real = golden.load(beside).inputs[:count]
        inputs[: len(real)] = real
    return inputs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("graph", type=Path, help="a build's graph.npz")
    parser.add_argument("--cpu", choices=sorted(BOARDS), default="m4")
    parser.add_argument("--inputs", type=int, default=4)
    parser.add_argument("--json", type=Path, help="where the result goes")
    parser.add_argument("--keep", type=Path, help="a folder for the sources and the image")
    arguments = parser.parse_args()
    for program in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(program) is None:
            sys.exit(f"not run: there is no {program} (Debian: gcc-arm-none-eabi, qemu-system-arm)")
    graph = serial.load(arguments.graph)
    inputs = some_inputs(graph, arguments.graph.with_name("golden.npz"), arguments.inputs)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        result = measure(graph, BOARDS[arguments.cpu], inputs, folder)
    text = json.dumps(result, indent=1)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    print(text)
    if result["equal_outputs"] != result["inputs"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
