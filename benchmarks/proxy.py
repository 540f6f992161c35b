"""How well cheap scores rank students: zero-cost proxies and short distillations beside a fuller one.

    python benchmarks/proxy.py --real-data DIR --out OUT --json FILE

CIFAR-10, teacher ResNet-56, 16 students of three families within 96 KiB of weights. All are distilled for
EPOCHS epochs of IMAGES images from the same cached answers, and for one, two and three epochs of fewer ones.
The accuracy is that of the validation split; no test image is read. Proxies see one batch of training images.
Written are Spearman's and Kendall's correlations of each score with the fuller distillation's accuracy, and
the intervals that hold 95 % of them when students are drawn anew with replacement. A broken-off run goes on
where it stopped.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cifar10_short
import numpy as np
import provenance
from numpy.typing import NDArray
from scipy import stats

from edgedistill import data as data_sets
from edgedistill import recipe as recipes
from edgedistill import students
from edgedistill.data.types import ImageData
from edgedistill.deliver import Run
from edgedistill.lower.student import float_graph
from edgedistill.reporter import PlainReporter, QuietReporter
from edgedistill.sizing import finalists, proxy
from edgedistill.sizing.analytic import ANALYTIC
from edgedistill.store import Store
from edgedistill.teaching import load_teacher

SHORT_EPOCHS = (1, 2, 3)
RESAMPLES = 2000
_DSCNN = "frames=3,bands=3,step=2"
# within 96 KiB of weights, 0.2 to 1.5 times ResNet-8's multiplications; the first few are mixed, too
STUDENTS = (
    "resnet:width=16,depth=8",
    "mobilenet:width=12,depth=2,expansion=4",
    f"dscnn:width=128,depth=4,{_DSCNN}",
    "resnet:width=10,depth=14",
    "mobilenet:width=16,depth=1,expansion=4",
    "resnet:width=12,depth=8",
    f"dscnn:width=96,depth=6,{_DSCNN}",
    "mobilenet:width=8,depth=2,expansion=4",
    "resnet:width=8,depth=10,stages=4",
    f"dscnn:width=64,depth=8,{_DSCNN}",
    "resnet:width=8,depth=20",
    "mobilenet:width=16,depth=2,expansion=2",
    "resnet:width=14,depth=8",
    f"dscnn:width=160,depth=3,{_DSCNN}",
    "resnet:width=16,depth=10,stages=2",
    "mobilenet:width=8,depth=3,expansion=4",
)
# scores that are sums of others, each divided by its deviation over the students
SUMS: Mapping[str, tuple[str, ...]] = {
    "log-macs + log-parameters": ("log-macs", "log-parameters"),
    "log-macs + naswot": ("log-macs", "naswot"),
    "log-macs + zen": ("log-macs", "zen"),
    "log-macs + zico": ("log-macs", "zico"),
    "log-parameters + zico": ("log-parameters", "zico"),
    "log-parameters + naswot": ("log-parameters", "naswot"),
}
# scores that are linear fits to the accuracy of all other students: what a fit could know of a new one
FITS: Mapping[str, tuple[str, ...]] = {
    "fit of log-macs, log-parameters": ("log-macs", "log-parameters"),
    "fit of log-macs, log-parameters, naswot, zico": ("log-macs", "log-parameters", "naswot", "zico"),
}
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """One way to rank: a score of each student, and what it costs."""

    values: list[float]
    seconds: float  # for one student, on average


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real-data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--images", type=int, default=5000, help="of an epoch of the fuller distillation")
    parser.add_argument("--short-images", type=int, default=1500, help="of an epoch of the short ones")
    parser.add_argument("--views", type=int, default=4, help="cached variations of each image")
    parser.add_argument("--students", type=int, default=len(STUDENTS), help="the first so many")
    arguments = parser.parse_args()
    arguments.limit, arguments.quantise_epochs = None, 0
    specs = STUDENTS[: arguments.students]
    recipe = cifar10_short.recipe(arguments, 0, {"data.validation_share": 0.06})
    run = Run(recipe, Store(arguments.out), PlainReporter())
    with run.store.lock():
        data = data_sets.load(recipe.data, seed=recipe.seed, cache=run.store.root / "data")
        teacher = load_teacher(recipe, len(data.labels), data.image_shape)
        full = finalists.lesson(run, data, teacher, images=arguments.images, views=arguments.views)
        few = finalists.lesson(run, data, teacher, images=arguments.short_images, views=max(SHORT_EPOCHS))
        rows = [_row(run, full, few, spec, arguments.epochs) for spec in specs]
    accuracy = [row["accuracy"] for row in rows]
    ways = {
        **zero_cost(full.data, specs),
        **of_shapes(full.data, specs),
        **{f"{n} short epoch{'s'[: n > 1]}": _short(rows, n) for n in SHORT_EPOCHS},
    }
    ways |= {name: added([ways[part] for part in parts]) for name, parts in SUMS.items()}
    ways |= {name: fitted([ways[part] for part in parts], accuracy) for name, parts in FITS.items()}
    result = {
        "teacher": teacher.name,
        "validation_images": len(data.validation),
        "epochs": arguments.epochs,
        "images": arguments.images,
        "short_images": arguments.short_images,
        "recipe_sha256": recipes.sha256(recipe),
        "correlations": {name: correlation(way, accuracy) for name, way in ways.items()},
        "of_one_family": {
            family: {name: correlation(way, accuracy, members) for name, way in ways.items()}
            for family in students.STUDENTS
            if len(members := [i for i, spec in enumerate(specs) if spec.startswith(family)]) > 2
        },
        "students": [
            {**row, "scores": {name: way.values[i] for name, way in ways.items()}}
            for i, row in enumerate(rows)
        ],
    }
    provenance.write(arguments.json, result, {"DIR": arguments.real_data, "OUT": arguments.out})
    for name, found in sorted(result["correlations"].items(), key=lambda item: -item[1]["spearman"]):
        print(f"{name:28}", json.dumps(found))


def _row(run: Run, full: finalists.Lesson, few: finalists.Lesson, spec: str, epochs: int) -> dict[str, Any]:
    """A student's accuracies, trained now or found from an earlier call."""
    short = [finalists.train(run, few, spec, count, QuietReporter()) for count in SHORT_EPOCHS]
    run.reporter.stage("distil", spec)
    trained = finalists.train(run, full, spec, epochs, run.reporter)
    row = {
        "student": spec,
        "accuracy": trained.accuracy,
        "seconds": trained.seconds,
        "short": [one.accuracy for one in short],
        "short_seconds": [one.seconds for one in short],
    }
    print(json.dumps(row), flush=True)
    return row


def _short(rows: Sequence[Mapping[str, Any]], epochs: int) -> Scored:
    i = SHORT_EPOCHS.index(epochs)
    return Scored(
        [row["short"][i] for row in rows], float(np.mean([row["short_seconds"][i] for row in rows]))
    )


def zero_cost(data: ImageData, specs: Sequence[str]) -> dict[str, Scored]:
    """Every proxy's score of every untrained student, the mean of three initialisations."""
    import torch

    images, labels = np.asarray(data.train.images_NHWC[: proxy.IMAGES]), data.train.labels[: proxy.IMAGES]
    found = {}
    for name in proxy.PROXIES:
        started, values = time.process_time(), []
        for spec in specs:
            one = []
            for seed in range(3):
                torch.manual_seed(seed)
                net = students.parse(spec).build(len(data.labels), data.image_shape[2])
                one.append(proxy.score(name, net, images, labels))
            values.append(float(np.mean(one)))
        found[name] = Scored(values, (time.process_time() - started) / len(specs) / 3)
    return found


def of_shapes(data: ImageData, specs: Sequence[str]) -> dict[str, Scored]:
    """The scores that need no more than a student's graph; tracing it is not counted."""
    nets = [students.parse(spec).build(len(data.labels), data.image_shape[2]) for spec in specs]
    graphs = [float_graph(net, data.image_shape, data.labels) for net in nets]
    found = {}
    for name, row in ANALYTIC.items():
        started = time.process_time()
        values = [row.score(graph) for graph in graphs]
        found[name] = Scored(values, (time.process_time() - started) / len(specs))
    return found


def added(ways: Sequence[Scored]) -> Scored:
    """The sum of scores, each divided by its deviation."""
    total = sum(np.array(way.values) / max(float(np.std(way.values)), 1e-12) for way in ways)
    return Scored([float(v) for v in np.asarray(total)], sum(way.seconds for way in ways))


def fitted(ways: Sequence[Scored], accuracy: Sequence[float]) -> Scored:
    """Ridge regression on scores in units of their deviations; each student's value is by the others' fit."""
    y = np.array(accuracy)
    x = np.array([np.array(way.values) for way in ways]).T  # [students, scores]
    x = (x - x.mean(0)) / np.maximum(x.std(0), 1e-12)
    found = []
    for i in range(len(y)):
        rest = np.arange(len(y)) != i
        mean = y[rest].mean()
        ridge = x[rest].T @ x[rest] + np.eye(x.shape[1])
        found.append(float(mean + x[i] @ np.linalg.solve(ridge, x[rest].T @ (y[rest] - mean))))
    return Scored(found, sum(way.seconds for way in ways))


def correlation(
    way: Scored, accuracy: Sequence[float], members: Sequence[int] | None = None
) -> dict[str, Any]:
    """Spearman's and Kendall's (tau-b), with the middle 95 % of ``RESAMPLES`` resamples of the students."""
    rows = np.arange(len(accuracy)) if members is None else np.asarray(members)
    x, y = np.array(way.values)[rows], np.array(accuracy)[rows]
    rng = np.random.default_rng(0)
    draws = [rng.integers(len(rows), size=len(rows)) for _ in range(RESAMPLES)]
    found: dict[str, Any] = {"seconds": way.seconds}
    kinds: Mapping[str, Callable[[Values, Values], float]] = {"spearman": spearman, "kendall": kendall}
    for name, function in kinds.items():
        drawn = [value for draw in draws if not math.isnan(value := function(x[draw], y[draw]))]
        low, high = np.percentile(drawn, [2.5, 97.5]) if drawn else (math.nan, math.nan)
        found[name] = function(x, y)
        found[f"{name}_95"] = [float(low), float(high)]
    return found


def spearman(x: Values, y: Values) -> float:
    """Correlation of ranks; nan where all of one are equal."""
    return math.nan if np.ptp(x) == 0 or np.ptp(y) == 0 else float(stats.spearmanr(x, y).statistic)


def kendall(x: Values, y: Values) -> float:
    """Tau-b; nan where all of one are equal."""
    return math.nan if np.ptp(x) == 0 or np.ptp(y) == 0 else float(stats.kendalltau(x, y).statistic)


if __name__ == "__main__":
    main()
