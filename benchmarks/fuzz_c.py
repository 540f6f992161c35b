"""Compiles random graphs to C under sanitizers and compares every byte with the interpreter.

    python benchmarks/fuzz_c.py [--graphs 504] [--seed N]

Runs from the repository root; needs a C compiler with AddressSanitizer and UBSan.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from edgedistill.ir.graph import Graph
from tests.export.c.compiled import VARIANTS
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
    parser.add_argument("--graphs", type=int, default=504)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    programs = -(-arguments.graphs // (len(VARIANTS) * BATCH))
    compared = {
        name: fuzz(flags, programs, arguments.seed + i) for i, (name, flags) in enumerate(VARIANTS.items())
    }
    print(json.dumps({"graphs": sum(compared.values()), "by_variant": compared, "different": 0}, indent=1))


if __name__ == "__main__":
    main()
