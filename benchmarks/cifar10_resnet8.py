"""CIFAR-10, teacher ResNet-56, student ResNet-8 in int8: accuracy, parity and time of one build, as JSON.

    python benchmarks/cifar10_resnet8.py --real-data DIR --out OUT [--epochs N] [--seed N] [--mix NAME]

``--alpha 0`` is plain training on the same schedule; ``--mix`` one of the mixes that methods.py compares.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import provenance

from edgedistill import recipe as recipes
from edgedistill.build import build
from edgedistill.distill.published import MIXES, written
from edgedistill.reporter import PlainReporter

RECIPE = Path(__file__).with_suffix(".toml")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real-data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--quantise-epochs", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--alpha", type=float)
    parser.add_argument("--views", type=int)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--mix", choices=MIXES, help="of losses; else the recipe's")
    parser.add_argument("--student", help="another, such as resnet:width=12,depth=8")
    parser.add_argument("--target", action="append", help="another than the recipe's; may be repeated")
    parser.add_argument("--json", type=Path, help="where the result goes")
    arguments = parser.parse_args()
    folder = arguments.real_data / "cifar10"
    weights = next(folder.glob("teachers/resnet56-*.th"))
    overrides = {
        "data.source": str(folder),
        "teacher.spec": f"{weights}@edgedistill.teachers.architectures:cifar_resnet56",
        "distill.epochs": arguments.epochs,
        "quantise.epochs": arguments.quantise_epochs,
        "distill.alpha": arguments.alpha,
        "distill.views": arguments.views,
        "data.limit": arguments.limit,
        "distill.losses": None if arguments.mix is None else written(arguments.mix),
        "student.spec": arguments.student,
        "targets": arguments.target,
        "seed": arguments.seed,
    }
    chosen = recipes.resolve(RECIPE, {k: v for k, v in overrides.items() if v is not None})
    started = time.perf_counter()
    record = next(iter(build(chosen, arguments.out, reporter=PlainReporter()).values()))
    result = {
        "seconds": time.perf_counter() - started,
        "record": json.loads(record.model_dump_json()),
    }
    if arguments.json:
        provenance.write(arguments.json, result, {"DIR": arguments.real_data, "OUT": arguments.out})
    print(json.dumps({"seconds": result["seconds"], **json.loads(record.accuracy.model_dump_json())}))


if __name__ == "__main__":
    main()
