"""Ways to int8 on one short schedule: after training, observed and learned scales, assistant, three phases.

    python benchmarks/quantised.py --real-data DIR --out out/quantised --epochs 12 --json FILE

CIFAR-10, teacher ResNet-56, student ResNet-8. All ways of a seed start from the same float student; those
that train have the same number of int8 epochs (--quantise-epochs, 3 or more), which QKD divides among its
three phases. A broken-off run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

import cifar10_short
import provenance


def ways(epochs: int) -> Mapping[str, Mapping[str, object]]:
    """Changes of the recipe by name."""
    third = epochs // 3
    return {
        "post-training": {"quantise.epochs": 0},
        "observed": {},
        "learned": {"quantise.scales": "learned"},
        "learned, student assists": {"quantise.scales": "learned", "quantise.teacher": "both"},
        "learned, student alone": {"quantise.scales": "learned", "quantise.teacher": "student"},
        "QKD": {
            "quantise.scales": "learned",
            "quantise.self_study": third,
            "quantise.co_study": third,
            "quantise.epochs": epochs - 2 * third,
        },
    }


def main() -> None:
    parser = cifar10_short.parser(__doc__, epochs=12, views=4)
    parser.set_defaults(quantise_epochs=3)
    arguments = parser.parse_args()
    if arguments.quantise_epochs < 3:
        parser.error("--quantise-epochs: the three phases of QKD need an epoch each")
    chosen = ways(arguments.quantise_epochs)
    rows = [run(arguments, name, seed) for seed in range(arguments.seeds) for name in chosen]
    summary = {
        name: provenance.spread([row["student_int8"] for row in rows if row["way"] == name])
        for name in chosen
    }
    result = {"ways": chosen, "summary": summary, "runs": rows}
    provenance.write(arguments.json, result, {"DIR": arguments.real_data, "OUT": arguments.out})
    print(json.dumps(summary, indent=1))


def run(arguments: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    """One way with one seed, or what an earlier call kept of it."""
    return cifar10_short.row(arguments, seed, ways(arguments.quantise_epochs)[name], way=name)


if __name__ == "__main__":
    main()
