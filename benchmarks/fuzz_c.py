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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--graphs", type=int, default=504)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    compared: dict[str, int] = {}
    per_variant = -(-arguments.graphs // len(VARIANTS) // BATCH)
    for i, (name, flags) in enumerate(VARIANTS.items()):

        @seed(arguments.seed + i)
        @settings(
            max_examples=per_variant,
            phases=[Phase.generate],
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(graphs(), min_size=BATCH, max_size=BATCH))
        def every(nets: list[Graph], name: str = name, flags: tuple[str, ...] = flags) -> None:
            with tempfile.TemporaryDirectory() as folder:
                check(nets, Path(folder), flags)
            compared[name] = compared.get(name, 0) + len(nets)

        every()
    print(json.dumps({"graphs": sum(compared.values()), "by_variant": compared, "different": 0}, indent=1))


if __name__ == "__main__":
    main()
