"""Benches kept models over ssh on the loopback: this machine as the board, and a 64-bit Arm Python in QEMU.

Run as ``python -m benchmarks.ssh_loopback --json FILE`` where Debian's openssh-server is installed. Nothing
here is a figure of a board: of the emulated Python, whose files `bench --on emulator` gathers, bytes alone
are kept.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import provenance
from edgedistill.bench import ssh
from edgedistill.bench.places import Request
from edgedistill.bench.ssh_job import Pace
from edgedistill.runners import aarch64, aarch64_system
from tests import sshd

ROOT = Path(__file__).parent.parent
MODELS = ("cifar10-resnet8", "speech-commands-dscnn")
CPUS = ("cortex-a53", "cortex-a76")


def main() -> int:
    """Writes a row for each model and Python."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=50)
    given = parser.parse_args()
    reason = sshd.missing()
    if reason is not None:
        print(f"not run: {reason}")
        return 1
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary, sshd.running(Path(temporary)) as board:
        for model in MODELS:
            rows.append(row(board, model, sys.executable, given.runs, "this machine's Python"))
            for cpu in CPUS:
                reason = aarch64.missing(aarch64.QEMU) or aarch64_system.reason_not_runnable()
                if reason is not None:
                    rows.append({"model": model, "python": f"emulated {cpu}", "not run": reason})
                    continue
                python = emulated_python(board.bin / f"python-{cpu}", cpu)
                rows.append(row(board, model, python, 1, f"emulated {cpu}"))
        left = [path.name for path in board.folders()]
        result = {"rows": rows, "left_on_the_board": left}
        provenance.write(given.json, result, {"TMP": Path(temporary), "ROOT": ROOT})
    print(given.json.read_text(encoding="utf-8"))
    return 0


def emulated_python(path: Path, cpu: str) -> str:
    """Writes a program that is the emulated system's Python in QEMU's user mode."""
    system = aarch64_system.gather()
    environment = ("-E", f"PYTHONPATH={system.tree / 'site'}", "-E", "OPENBLAS_NUM_THREADS=1")
    program = system.tree / system.python.lstrip("/")
    words = [aarch64.QEMU, "-cpu", cpu, *environment, "-L", str(system.tree), str(program)]
    path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def row(board: sshd.Sshd, model: str, python: str, runs: int, label: str) -> dict[str, Any]:
    """What the place gives, and how long the whole command took."""
    began = time.monotonic()
    folder = ROOT / "models" / model
    request = Request(folder, board.on, runs=runs, warmup=1, python=python, ssh_config=board.config)
    found = ssh.measure(request, Pace(latency_s=5.0))
    emulated = label.startswith("emulated")
    parity, kept, notes = found.parity, found.measurements, found.notes
    if (
        emulated
    ):  # QEMU's user mode knows no time, its memory is QEMU's, and its cpuinfo is always a Cortex-A53's
        words = {"how": "emulated", "note": f"{label}, {found.parity[0].note.partition(',')[0]}"}
        parity, kept, notes = tuple(one.model_copy(update=words) for one in parity), (), ()
    return {
        "model": model,
        "python": label,
        "seconds": round(time.monotonic() - began, 1),
        "parity": [one.model_dump(mode="json") for one in parity],
        "measurements": [one.model_dump(mode="json") for one in kept],
        "notes": list(notes),
    }


if __name__ == "__main__":
    sys.exit(main())
