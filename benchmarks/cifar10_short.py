"""What the comparisons of short CIFAR-10 trainings share: their options, and the recipe of one build."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from edgedistill import recipe as recipes
from edgedistill.recipe import Recipe

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


def _several(text: str) -> int:
    """A spread needs two."""
    if (count := int(text)) < 2:
        raise argparse.ArgumentTypeError(f"{count} seeds have no spread: give 2 or more")
    return count


def _resnet56(folder: Path) -> str:
    for weights in folder.glob("teachers/resnet56-*.th"):
        return f"{weights}@edgedistill.teachers.architectures:cifar_resnet56"
    raise SystemExit(f"there is no resnet56-*.th in {folder / 'teachers'}: see --real-data")
