"""CIFAR-10 against attackers: ResNet-8 by RSLAD and by plain distillation from one robust teacher, as JSON.

    python benchmarks/adversarial.py --real-data DIR --out OUT --json FILE

The teacher is a ResNet-20 that `teach` trains on images changed by PGD, on the same part of the training
images. Both students learn from it with the same schedule: one by RSLAD (Zi et al. 2021), one from its
answers to unchanged images. Then PGD-20 and AutoAttack meet both in float32 and int8, on test images that no
training saw; nothing is chosen by them. A broken-off run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import cifar10_short
import provenance

from edgedistill.build import build
from edgedistill.record import BuildRecord
from edgedistill.reporter import PlainReporter
from edgedistill.teach import TeacherRecord, choose, teach


def main() -> None:
    parser = cifar10_short.parser(__doc__, epochs=10, views=2)
    parser.set_defaults(seeds=1)
    parser.add_argument("--teacher-epochs", type=int, default=8)
    parser.add_argument("--epsilon", type=int, default=8, help="of 255")
    parser.add_argument("--steps", type=int, default=5, help="of PGD on a training batch")
    parser.add_argument("--images", type=int, default=200, help="test images to attack")
    arguments = parser.parse_args()
    runs = [run(arguments, seed) for seed in range(arguments.seeds)]
    result = {"epsilon": arguments.epsilon, "attacked_images": arguments.images, "runs": runs}
    provenance.write(arguments.json, result, {"DIR": arguments.real_data, "OUT": arguments.out})
    for name in ("rslad", "plain"):
        print(json.dumps({name: [row[name]["attacks"] for row in runs]}, indent=1))


def run(arguments: argparse.Namespace, seed: int) -> dict[str, Any]:
    """A teacher and its two students."""
    out = arguments.out / f"seed{seed}"
    attacker = {
        "adversarial.epsilon": arguments.epsilon,
        "adversarial.steps": arguments.steps,
        "adversarial.images": arguments.images,
    }
    family, recipe = choose(
        "resnet20",
        {
            "data.source": str(arguments.real_data / "cifar10"),
            "data.limit": arguments.limit,
            "data.augment": ("pad-crop", "flip"),
            "data.validation_share": 0.01,
            "distill.epochs": arguments.teacher_epochs,
            "distill.lr": 0.1,
            "distill.ema": 0.98,  # of so few steps
            "seed": seed,
            **attacker,
            "adversarial.method": "pgd",
        },
    )
    taught = teach(recipe, family, out / "teacher", reporter=PlainReporter())
    row: dict[str, Any] = {"seed": seed, "teacher": _of_teacher(taught)}
    for name, method in (("rslad", "rslad"), ("plain", "none")):
        keys = {"teacher.spec": taught.spec, "teacher.normalisation": "auto", **taught.choices}
        chosen = cifar10_short.recipe(arguments, seed, {**keys, **attacker, "adversarial.method": method})
        record = build(chosen, out / name, reporter=PlainReporter())["android-arm64"]
        row[name] = _of_student(record)
    return row


def _of_teacher(taught: TeacherRecord) -> dict[str, Any]:
    assert taught.robustness is not None
    return {
        "parameters": taught.parameters,
        "accuracy": taught.accuracy,
        "test_images": taught.test_examples,
        **taught.robustness.model_dump(),
        "images_per_s": [round(log.images_per_s) for log in taught.epochs],
    }


def _of_student(record: BuildRecord) -> dict[str, Any]:
    made, accuracy = record.robustness, record.accuracy
    assert made is not None
    return {
        "student_float": accuracy.student_float,
        "student_int8": accuracy.student_int8,
        "test_images": accuracy.test_images,
        "attacks": [one.model_dump() for one in made.attacks],
        "autoattack": made.autoattack,
        "warnings": record.warnings,
        "images_per_s": [round(log.images_per_s) for log in record.epochs if log.stage == "distill"],
        "int8_images_per_s": [round(log.images_per_s) for log in record.epochs if log.stage == "quantise"],
        "stage_seconds": record.stage_seconds,
    }


if __name__ == "__main__":
    main()
