"""Distilled beside plainly trained, the same schedule, several seeds: accuracies with their spread, as JSON.

    python benchmarks/seeds.py --real-data DIR --out out/seeds --epochs 5 --json FILE

CIFAR-10, teacher ResNet-56, student ResNet-8 (the recipe of cifar10_resnet8.toml with fewer epochs).
A broken-off run goes on where it stopped.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import cifar10_short
import provenance

from edgedistill.build import build
from edgedistill.reporter import PlainReporter

ALPHAS = {"distilled": 0.9, "plain": 0.0}


def main() -> None:
    arguments = cifar10_short.parser(__doc__, epochs=6, views=1).parse_args()
    runs: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        for name, alpha in ALPHAS.items():
            recipe = cifar10_short.recipe(arguments, seed, {"distill.alpha": alpha})
            record = build(recipe, arguments.out / f"seed{seed}", reporter=PlainReporter())["android-arm64"]
            runs.append(
                {
                    "training": name,
                    "seed": seed,
                    "student_float": record.accuracy.student_float,
                    "student_int8": record.accuracy.student_int8,
                    "epoch_s": [round(log.seconds, 2) for log in record.epochs if log.stage == "distill"],
                    "images_per_s": [round(log.images_per_s) for log in record.epochs],
                    "stage_seconds": record.stage_seconds,
                }
            )
            print(json.dumps(runs[-1]), flush=True)
    result = {
        "test_images": record.accuracy.test_images,
        "teacher": record.accuracy.teacher,
        "summary": {
            training: {
                kind: provenance.spread([r[kind] for r in runs if r["training"] == training])
                for kind in ("student_float", "student_int8")
            }
            for training in ALPHAS
        },
        "epoch_ratio": _epoch_s(runs, "distilled") / _epoch_s(runs, "plain"),
        "runs": runs,
    }
    provenance.write(arguments.json, result, {"DIR": arguments.real_data, "OUT": arguments.out})
    print(json.dumps({key: result[key] for key in ("summary", "epoch_ratio")}))


def _epoch_s(runs: Sequence[Mapping[str, Any]], training: str) -> float:
    """The median time of an epoch of float training in s."""
    return statistics.median(s for run in runs if run["training"] == training for s in run["epoch_s"])


if __name__ == "__main__":
    main()
