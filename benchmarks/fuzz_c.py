"""Compiles random graphs to C under sanitizers and compares every byte with the interpreter.

    python -m benchmarks.fuzz_c [--on here|aarch64] [--family F|D] [--int16] [--count 500] [--seed N]
        [--json FILE]

Runs from the repository root; needs a C compiler with AddressSanitizer and UBSan; --on aarch64 needs
GCC for 64-bit Arm and QEMU, and runs the kernels in NEON vectors.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks import provenance
from edgedistill.ir.graph import Graph
from edgedistill.ir.interpret import Family
from edgedistill.runners import aarch64, c_here, c_program
from tests.export.c.compiled import ARM, ARM_VARIANTS, HERE, SANITIZERS, VARIANTS, Machine
from tests.export.c.random_graphs import graphs
from tests.export.c.test_model import check
from tests.int16_graphs import mixed

BATCH = 12  # graphs in one program


def fuzz(
    flags: tuple[str, ...], family: Family, machine: Machine, programs: int, start: int, int16: bool
) -> int:
    """How many graphs were compared; ends in an AssertionError where one differs."""
    compared = 0

    @seed(start)
    @settings(
        max_examples=programs,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(st.integers(0, 10**6).map(mixed) if int16 else graphs(), min_size=BATCH, max_size=BATCH))
    def every(nets: list[Graph]) -> None:
        nonlocal compared
        with tempfile.TemporaryDirectory() as folder:
            check(nets, Path(folder), flags, family, machine)
        compared += len(nets)

    every()
    return compared


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--on", choices=("here", "aarch64"), default="here")
    parser.add_argument("--family", choices=("F", "D"), default="F")
    parser.add_argument("--int16", action="store_true", help="graphs some of whose layers are int16")
    parser.add_argument("--count", type=int, default=500, help="graphs at least, over all variants")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where the result goes")
    arguments = parser.parse_args()
    arm = arguments.on == "aarch64"
    reason = aarch64.reason_not_runnable() if arm else c_here.reason_not_runnable()
    if reason is not None:
        sys.exit(f"not run: {reason}")
    machine, variants = (ARM, ARM_VARIANTS) if arm else (HERE, VARIANTS)
    programs = -(-arguments.count // (len(variants) * BATCH))
    compared = {
        name: fuzz(flags, arguments.family, machine, programs, arguments.seed + i, arguments.int16)
        for i, (name, flags) in enumerate(variants.items())
    }
    result = {
        "compiler": c_program.version(machine.compiler()),
        "family": arguments.family,
        "int16": arguments.int16,
        "flags": " ".join(SANITIZERS),
        "graphs": sum(compared.values()),
        "by_variant": compared,
        "different": 0,  # the first that differs ends the run with its operators
    }
    if arguments.json:
        provenance.write(arguments.json, result, {".": Path.cwd()})
    print(f"{result['graphs']} graphs, none differs")


if __name__ == "__main__":
    main()
