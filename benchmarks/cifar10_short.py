"""What the comparisons of short CIFAR-10 trainings share: options, one build's recipe, its figures."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgedistill import recipe as recipes
from edgedistill.build import build
from edgedistill.recipe import Recipe
from edgedistill.reporter import PlainReporter

RECIPE = Path(__file__).with_name("cifar10_resnet8.toml")


def parser(description: str | None, *, epochs: int, views: int) -> argparse.ArgumentParser:
    """The options, with a comparison's own defaults."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--real-data", type=Path, required=True)
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--json", type=Path, required=True)
    made.add_argument("--epochs", type=int, default=epochs)
    made.add_argument("--quantise-epochs", type=int, default=1)
    made.add_argument("--seeds", type=_several, default=3, help="2 or more")
    made.add_argument("--views", type=int, default=views, help="cached variations of each image")
    made.add_argument("--limit", type=int, default=12_500, help="training images")
    return made


def recipe(arguments: argparse.Namespace, seed: int, more: Mapping[str, object]) -> Recipe:
    """ResNet-56 teaches ResNet-8; nothing is exported or measured that a comparison does not need."""
    folder = arguments.real_data / "cifar10"
    teacher = {} if "teacher.spec" in more else {"teacher.spec": _resnet56(folder)}
    return recipes.resolve(
        RECIPE,
        {
            "data.source": str(folder),
            "data.limit": arguments.limit,
            **teacher,
            "distill.epochs": arguments.epochs,
            "distill.views": arguments.views,
            "quantise.epochs": arguments.quantise_epochs,
            "export.formats": ("onnx",),
            "export.float32": False,
            "bench.runs": 10,
            "seed": seed,
            **more,
        },
    )


def row(arguments: argparse.Namespace, seed: int, more: Mapping[str, object], **names: str) -> dict[str, Any]:
    """The figures of one build under its ``names``, or what an earlier call kept of them."""
    chosen = recipe(arguments, seed, more)
    out = arguments.out / f"seed{seed}"
    kept = out / f"{recipes.sha256(chosen)}.json"
    if kept.exists():
        before: dict[str, Any] = json.loads(kept.read_text())
        if "validation_float" in before:
            return before
    started = time.perf_counter()
    record = build(chosen, out, reporter=PlainReporter())["android-arm64"]
    floats = [log for log in record.epochs if log.stage == "distill"]
    found = {
        **names,
        "seed": seed,
        "validation_float": floats[-1].validation_accuracy,
        "validation_images": record.accuracy.validation_images,
        "student_float": record.accuracy.student_float,
        "student_int8": record.accuracy.student_int8,
        "test_images": record.accuracy.test_images,
        "teacher": record.accuracy.teacher,
        "images_per_s": [round(log.images_per_s) for log in floats],
        "int8_images_per_s": [round(log.images_per_s) for log in record.epochs if log.stage == "quantise"],
        "stage_seconds": record.stage_seconds,
        "seconds": time.perf_counter() - started,
    }
    print(json.dumps(found), flush=True)
    kept.write_text(json.dumps(found))
    return found


def _several(text: str) -> int:
    """A spread needs two."""
    if (count := int(text)) < 2:
        raise argparse.ArgumentTypeError(f"{count} seeds have no spread: give 2 or more")
    return count


def _resnet56(folder: Path) -> str:
    for weights in folder.glob("teachers/resnet56-*.th"):
        return f"{weights}@edgedistill.teachers.architectures:cifar_resnet56"
    raise SystemExit(f"there is no resnet56-*.th in {folder / 'teachers'}: see --real-data")
