"""Distilled beside plainly trained, the same schedule, several seeds: accuracies with their spread, as JSON.

    python benchmarks/seeds.py --real-data DIR --out out/seeds --epochs 5 --json FILE

CIFAR-10, teacher ResNet-56, student ResNet-8 (the recipe of cifar10_resnet8.toml with fewer epochs).
A broken-off run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import provenance

from edgedistill import recipe as recipes
from edgedistill.build import build
from edgedistill.reporter import PlainReporter

RECIPE = Path(__file__).with_name("cifar10_resnet8.toml")
ALPHAS = {"distilled": 0.9, "plain": 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real-data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--quantise-epochs", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=3, help="2 or more")
    parser.add_argument("--views", type=int, default=1)
    parser.add_argument("--limit", type=int, default=12_500, help="training images")
    arguments = parser.parse_args()
    folder = arguments.real_data / "cifar10"
    weights = next(folder.glob("teachers/resnet56-*.th"))
    runs: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        for name, alpha in ALPHAS.items():
            overrides = {
                "data.source": str(folder),
                "teacher.spec": f"{weights}@edgedistill.teachers.architectures:cifar_resnet56",
                "distill.epochs": arguments.epochs,
                "quantise.epochs": arguments.quantise_epochs,
                "distill.views": arguments.views,
                "distill.alpha": alpha,
                "export.formats": ("onnx",),
                "seed": seed,
                "bench.runs": 10,
                "export.float32": False,
                "data.limit": arguments.limit,
            }
            started = time.perf_counter()
            record = build(
                recipes.resolve(RECIPE, overrides), arguments.out / f"seed{seed}", reporter=PlainReporter()
            )["android-arm64"]
            runs.append(
                {
                    "training": name,
                    "seed": seed,
                    "student_float": record.accuracy.student_float,
                    "student_int8": record.accuracy.student_int8,
                    "epoch_s": [round(log.seconds, 2) for log in record.epochs if log.stage == "distill"],
                    "images_per_s": [round(log.images_per_s) for log in record.epochs],
                    "stage_seconds": record.stage_seconds,
                    "seconds": time.perf_counter() - started,
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
