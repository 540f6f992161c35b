"""Born-again networks on CIFAR-10: a ResNet-20 taught by its own earlier generation, several seeds, as JSON.

    python benchmarks/born_again.py --real-data DIR --out out/born-again --json FILE

No teacher is read: generation 1 learns from labels, each later one from the one before (Furlanello et al.
2018), with the schedule of cifar10_resnet8.toml. A broken-off run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import cifar10_short
import provenance

from edgedistill.build import build
from edgedistill.reporter import PlainReporter


def main() -> None:
    parser = cifar10_short.parser(__doc__, epochs=60, views=4)
    parser.set_defaults(limit=50_000)
    parser.add_argument("--generations", type=int, default=2)
    parser.add_argument("--student", default="resnet:width=16,depth=20")
    parser.add_argument("--temperature", type=float, default=4.0)
    parser.add_argument(
        "--alpha", type=float, default=0.9, help="share of the earlier generation, not of labels"
    )
    arguments = parser.parse_args()
    runs = [run(arguments, seed) for seed in range(arguments.seeds)]
    result = {
        "test_images": runs[0]["test_images"],
        "parameters": runs[0]["parameters"],
        "generations": [summary(runs, i) for i in range(arguments.generations)],
        "student_int8": provenance.spread([row["student_int8"] for row in runs]),
        "runs": runs,
    }
    provenance.write(arguments.json, result, {"DIR": arguments.real_data, "OUT": arguments.out})
    print(json.dumps({name: result[name] for name in ("generations", "student_int8")}, indent=1))


def run(arguments: argparse.Namespace, seed: int) -> dict[str, Any]:
    """All generations of one seed; what an earlier call finished is found."""
    choices = {
        "teacher.spec": "none",
        "teacher.normalisation": "auto",
        "student.spec": arguments.student,
        "distill.generations": arguments.generations,
        "distill.temperature": arguments.temperature,
        "distill.alpha": arguments.alpha,
    }
    recipe = cifar10_short.recipe(arguments, seed, choices)
    record = build(recipe, arguments.out / f"seed{seed}", reporter=PlainReporter())["android-arm64"]
    row = {
        "seed": seed,
        "accuracies": [*(one.accuracy for one in record.lineage), record.accuracy.student_float],
        "student_int8": record.accuracy.student_int8,
        "test_images": record.accuracy.test_images,
        "parameters": record.lineage[0].parameters,
        "stage_seconds": record.stage_seconds,
    }
    print(json.dumps(row), flush=True)
    return row


def summary(runs: Sequence[Mapping[str, Any]], place: int) -> dict[str, Any]:
    """One generation's accuracies in float, and by how much it is better than the first of its seed."""
    own = [row["accuracies"][place] for row in runs]
    found: dict[str, Any] = {"generation": place + 1, "student_float": provenance.spread(own)}
    if place:
        gains = [after - row["accuracies"][0] for after, row in zip(own, runs, strict=True)]
        error = statistics.stdev(gains) / len(gains) ** 0.5
        found["gain"] = {"mean": statistics.mean(gains), "standard_error": error}
    return found


if __name__ == "__main__":
    main()
