"""CIFAR-10 without CIFAR-10: a student of a ResNet teacher that no real image was read for, as JSON.

    python benchmarks/data_free.py --real-data DIR --out OUT --json FILE [--set synthesis.images=20000]

The real test images are read once, when all training is over. The curve is of the weights that were
set aside every few epochs; nothing is chosen by it, the delivered student is the last one.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path

import provenance

from edgedistill import data as data_sets
from edgedistill import recipe as recipes
from edgedistill import students
from edgedistill.build import build
from edgedistill.recipe import Recipe
from edgedistill.reporter import PlainReporter
from edgedistill.tables import toml_value

RECIPE = Path(__file__).with_suffix(".toml")


class Keeper(PlainReporter):
    """Copies the averaged weights out of the training's checkpoint every few epochs."""

    def __init__(self, work: Path, every: int) -> None:
        super().__init__()
        self.work = work
        self.every = every
        self.kept: dict[int, dict[str, object]] = {}
        self._epoch = 0

    def progress(self, done: int, total: int, fields: Mapping[str, str]) -> None:
        super().progress(done, total, fields)
        epoch = int(fields.get("epoch", "0").partition("/")[0])
        if epoch == self._epoch:
            return
        self._epoch = epoch  # a new epoch began: the checkpoint holds the one before
        import torch

        for path in self.work.glob("distill-*/checkpoint.pt"):
            saved = torch.load(path, weights_only=True)
            if saved["state"]["epoch"] % self.every == 0:
                self.kept[saved["state"]["epoch"]] = saved["average"]


def curve(recipe: Recipe, kept: Mapping[int, dict[str, object]], out: Path) -> list[dict[str, float]]:
    """Float accuracy on the real test images of the weights set aside."""
    from edgedistill.distill.evaluate import top1

    if not kept:
        return []
    assert recipe.data.test is not None and recipe.data.resolution is not None
    shape = (recipe.data.resolution, recipe.data.resolution, 3)
    test, names, _ = data_sets.load_test(recipe.data.test, shape, cache=out)
    assert names == recipe.synthesis.labels
    net = students.parse(recipe.student.spec).build(len(names), 3)
    points = []
    for epoch, state in sorted(kept.items()):
        net.load_state_dict(state)  # type: ignore[arg-type]
        points.append({"epoch": epoch, "test_accuracy": top1(net, test)})
    return points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real-data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--teacher", choices=("resnet20", "resnet56"), default="resnet20")
    parser.add_argument("--every", type=int, default=5, help="epochs between the points of the curve")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the recipe")
    parser.add_argument("--json", type=Path, help="where the result goes")
    arguments = parser.parse_args()
    folder = arguments.real_data / "cifar10"
    weights = next(folder.glob(f"teachers/{arguments.teacher}-*.th"))
    pairs = dict(text.split("=", 1) for text in arguments.set)
    chosen = recipes.resolve(
        RECIPE,
        {
            "teacher.spec": f"{weights}@edgedistill.teachers.architectures:cifar_{arguments.teacher}",
            "data.test": str(folder / "test.parquet"),
            **{key: toml_value(value) for key, value in pairs.items()},
        },
    )
    started = time.perf_counter()
    keeper = Keeper(arguments.out / ".cache" / "work", arguments.every)
    record = next(iter(build(chosen, arguments.out, reporter=keeper).values()))
    result = {
        "seconds": time.perf_counter() - started,
        "curve": curve(chosen, keeper.kept, arguments.out / ".cache" / "data"),
        "record": json.loads(record.model_dump_json()),
    }
    if arguments.json:
        provenance.write(arguments.json, result, {"DIR": arguments.real_data, "OUT": arguments.out})
    print(
        json.dumps(
            {
                "seconds": result["seconds"],
                "stages": record.stage_seconds,
                "curve": result["curve"],
                **json.loads(record.accuracy.model_dump_json()),
            }
        )
    )


if __name__ == "__main__":
    main()
