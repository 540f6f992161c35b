"""Plain training beside every kind of distillation, the same short schedule and seeds: accuracies and speed.

    python benchmarks/methods.py --real-data DIR --out out/methods --epochs 12 --json FILE

CIFAR-10, teacher ResNet-56, student ResNet-8 (the recipe of cifar10_resnet8.toml with fewer epochs). Each
method is the labels' cross-entropy plus its loss at the weight of its paper's code, or of the code of Tian et
al. 2020, which compared most of them; nothing here was chosen by looking at the test images, and the last
epoch counts. Plain training varies its images anew in each epoch; the others see VIEWS variations of each,
kept with the teacher's answers and features (3.4 GB a seed at the defaults). A broken-off run goes on where
it stopped.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import cifar10_short
import provenance

from edgedistill.distill.published import MIXES, written


def main() -> None:
    parser = cifar10_short.parser(__doc__, epochs=12, views=4)
    parser.add_argument("--methods", default=",".join(MIXES), help=f"of {', '.join(MIXES)}")
    arguments = parser.parse_args()
    names = [name.strip() for name in arguments.methods.split(",")]
    rows = [run(arguments, name, seed) for seed in range(arguments.seeds) for name in names]
    result = {
        "test_images": rows[0]["test_images"],
        "teacher": rows[0]["teacher"],
        "losses": {name: written(name) for name in names},
        "summary": {name: summary(rows, name) for name in names},
        "runs": rows,
    }
    provenance.write(arguments.json, result, {"DIR": arguments.real_data, "OUT": arguments.out})
    print(json.dumps(result["summary"], indent=1))


def run(arguments: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    """One method with one seed, or what an earlier call kept of it."""
    losses = {"distill.losses": written(name), "distill.cache_features": True}
    return cifar10_short.row(arguments, seed, losses, method=name)


def summary(rows: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """A method's accuracies, its gain over plain training with the standard error, and its speed."""
    own, plain = ([r for r in rows if r["method"] == method] for method in (name, "plain"))
    found: dict[str, Any] = {
        "validation_float": provenance.spread([row["validation_float"] for row in own]),
    }
    for kind in ("student_float", "student_int8"):
        found[kind] = provenance.spread([r[kind] for r in own])
        if plain and name != "plain":
            base = provenance.spread([r[kind] for r in plain])
            found[f"{kind}_gain"] = {
                "mean": found[kind]["mean"] - base["mean"],
                "standard_error": math.sqrt(sum(s["stdev"] ** 2 / s["count"] for s in (found[kind], base))),
            }
    found["images_per_s"] = speed(own)
    if plain:
        found["speed_of_plain"] = found["images_per_s"] / speed(plain)
    return found


def speed(rows: Sequence[Mapping[str, Any]]) -> int:
    """Images/s of the fastest epoch of float training: other work can slow an epoch, nothing speeds it."""
    return max(rate for row in rows for rate in row["images_per_s"])


if __name__ == "__main__":
    main()
