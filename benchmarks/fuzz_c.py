"""Compiles random graphs to C under sanitizers and compares every byte with the interpreter.

    python -m benchmarks.fuzz_c [--count 500] [--seed N] [--json FILE]

Runs from the repository root; needs a C compiler with AddressSanitizer and UBSan.
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
from edgedistill.runners import c_here, c_program
from tests.export.c.compiled import SANITIZERS, VARIANTS
from tests.export.c.random_graphs import graphs
from tests.export.c.test_model import check

BATCH = 12  # graphs in one program


def fuzz(flags: tuple[str, ...], programs: int, start: int) -> int:
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
    @given(st.lists(graphs(), min_size=BATCH, max_size=BATCH))
    def every(nets: list[Graph]) -> None:
        nonlocal compared
        with tempfile.TemporaryDirectory() as folder:
            check(nets, Path(folder), flags)
        compared += len(nets)

    every()
    return compared


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=500, help="graphs at least, over all variants")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where the result goes")
    arguments = parser.parse_args()
    cc = c_here.compiler()
    if cc is None:
        sys.exit(f"not run: {c_here.reason_not_runnable()}")
    programs = -(-arguments.count // (len(VARIANTS) * BATCH))
    compared = {
        name: fuzz(flags, programs, arguments.seed + i) for i, (name, flags) in enumerate(VARIANTS.items())
    }
    result = {
        "compiler": c_program.version(cc),
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
