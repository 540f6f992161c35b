"""One teacher, three devices: one command with three budgets gives three students that keep them, as JSON.

    OMP_NUM_THREADS=1 python -m benchmarks.three_devices --out OUT --json FILE [--real-data DIR]

With DIR, CIFAR-10 of DIR/cifar10 and its ResNet-56 as the teacher; without, the built-in digits. By default
few images and epochs, so the accuracies are those of a demonstration. Only the first build asks the teacher:
the others find its answers in OUT/.cache. Afterwards instructions are counted in QEMU (a board's in its
build); milliseconds are these by the upper end of the device's cycles per instruction, not measured.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from benchmarks import provenance
from edgedistill import data as data_sets
from edgedistill import recipe as recipes
from edgedistill import target as targets
from edgedistill.build import build
from edgedistill.recipe import DataSection
from edgedistill.record import BuildRecord
from edgedistill.reporter import PlainReporter
from edgedistill.runners import aarch64_system
from edgedistill.sized import Sizing
from edgedistill.sizing.budget import PREDICTED
from edgedistill.target import Target

Budgets = Mapping[str, Mapping[str, str]]

CIFAR10: Budgets = MappingProxyType(
    {
        "android-midrange": {"latency": "2ms"},
        "raspberry-pi-5": {"latency": "400us", "weights": "192KiB"},
        "nucleo-l4r5zi": {"latency": "120ms", "ram": "48KiB", "flash": "96KiB"},
    }
)
DIGITS: Budgets = MappingProxyType(  # images have a sixteenth of the pixels
    {
        "android-midrange": {"latency": "100us"},
        "raspberry-pi-5": {"latency": "40us", "weights": "48KiB"},
        "nucleo-l4r5zi": {"latency": "10ms", "ram": "8KiB", "flash": "32KiB"},
    }
)
TEACHER = "edgedistill.teachers.architectures:cifar_resnet56"
STAGES = ("teacher", "views", "size", "distill", "quantise")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--real-data", type=Path)
    parser.add_argument("--limit", type=int, default=3000, help="training images of CIFAR-10")
    parser.add_argument("--test-images", type=int, default=1000, help="of CIFAR-10, in every runtime")
    parser.add_argument("--epochs", type=int, help="of float training; 1, of digits 8")
    parser.add_argument("--trials", type=int, default=300, help="candidates of each search")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    choices = common(arguments)
    budgets = CIFAR10 if arguments.real_data else DIGITS
    students = [one(name, limits, choices, arguments.out) for name, limits in budgets.items()]
    result = {
        "recipe": {key: value for key, value in choices.items() if key != "teacher.spec"},
        "seconds": sum(row["seconds"] for row in students),
        "training_images": arguments.limit if arguments.real_data else None,  # None: all digits
        "different_students": len({row["student"] for row in students}),
        "teacher_asked_by": [row["target"] for row in students if "soft targets" in row["stage_seconds"]],
        "within_band": sum(bool(row["instructions"]["within_band"]) for row in students),
        "all_budgets_hold": all(limit["holds"] for row in students for limit in row["limits"].values()),
        "students": students,
    }
    words = {"OUT": arguments.out} | ({"DIR": arguments.real_data} if arguments.real_data else {})
    provenance.write(arguments.json, result, words)
    print(json.dumps({key: result[key] for key in result if key not in ("recipe", "students")}, indent=1))


def common(arguments: argparse.Namespace) -> dict[str, object]:
    """What the three builds have in common, as a recipe's keys."""
    made: dict[str, object] = {
        "student.spec": "auto",
        "data.resolution": 8,  # one for all, so that the teacher's answers serve all
        "distill.epochs": arguments.epochs or 8,
        "distill.views": 1,
        "quantise.epochs": 1,
        "sizing.trials": arguments.trials,
        "export.float32": False,
        "bench.runs": 10,
    }
    if arguments.real_data:
        source, test = less(arguments)
        (weights,) = (arguments.real_data / "cifar10" / "teachers").glob("resnet56-*.th")
        made |= {
            "data.source": str(source),
            "data.test": str(test),
            "data.resolution": 32,
            "teacher.spec": f"{weights}@{TEACHER}",
            "teacher.normalisation": "imagenet",
            "distill.epochs": arguments.epochs or 1,
            "distill.batch": 50,
            "distill.optimiser": "muon",
            "distill.lr": 0.03,
            "distill.ema": 0.9,  # few steps
            "trust": True,
        }
    return made


def less(arguments: argparse.Namespace) -> tuple[Path, Path]:
    """So many training and test images of CIFAR-10, as two .npz files."""
    out, limit, count = arguments.out, arguments.limit, arguments.test_images
    section = DataSection(source=str(arguments.real_data / "cifar10"), limit=limit)
    data = data_sets.load(section, seed=0, cache=out / ".cache" / "data")
    paths = (out / f"train-{limit}.npz", out / f"test-{count}.npz")
    for path, split in zip(paths, (data.train, data.test.rows(np.arange(count))), strict=True):
        np.savez(path, x=np.asarray(split.images_NHWC), y=split.labels)
    return paths


def one(name: str, limits: Mapping[str, str], choices: Mapping[str, object], out: Path) -> dict[str, Any]:
    """A build for one device, and what was promised before it and found after it."""
    budget = {f"budget.{key}": text for key, text in limits.items()}
    beginning = None if "data.source" in choices else recipes.example()
    recipe = recipes.resolve(beginning, {"targets": [name], **choices, **budget})
    kept = {path.name for path in (out / ".cache").glob("*/*")}
    started = time.perf_counter()
    record = build(recipe, out, reporter=PlainReporter())[name]
    seconds = time.perf_counter() - started
    device, sizing = targets.load(name), record.sizing
    assert sizing is not None, "a budget limits the student and none is named"
    counted = instructions(record, device, out / name)
    return {
        "target": name,
        "command": "edgedistill build --recipe FILE.toml --target "
        f"{name} --budget {','.join(f'{key}={text}' for key, text in limits.items())} --out {out}",
        "student": sizing.chosen.student,
        "why": sizing.reason,
        "seconds": seconds,
        "stage_seconds": record.stage_seconds,
        "stages": {
            stage: "found" if record.stage_hashes[stage] in kept else "made"
            for stage in STAGES
            if stage in record.stage_hashes
        },
        "accuracy": record.accuracy.model_dump(exclude_none=True),
        "runtimes_identical": {
            row.runtime: row.identical == row.values for row in record.parity if row.how != "not run"
        },
        "planned": sizing.chosen.model_dump(exclude={"student", "misses", "score", "resolution"}),
        "arena": {"planned_bytes": sizing.chosen.arena_bytes, "built_bytes": record.graph.arena_bytes},
        "instructions": counted,
        "limits": held(sizing, record, device, counted),
    }


def instructions(record: BuildRecord, device: Target, folder: Path) -> dict[str, Any]:
    """The prediction and its band beside what the emulator counted in the built file (None: not run)."""
    assert record.sizing is not None
    predicted = record.sizing.chosen.predicted("instructions")
    assert predicted is not None, f"{device.name} has a cost model"
    rows = [row for row in record.measurements if row.quantity == "instructions"]
    counted = rows[0].value if rows else None
    if not rows and aarch64_system.reason_not_runnable() is None:
        cpu = aarch64_system.cpu_of(device)
        (found,) = aarch64_system.count([folder / "student.tflite"], cpu=cpu, runtime="litert")
        counted = float(found.least)
    return {
        "predicted": predicted.value,
        "low": predicted.low,
        "high": predicted.high,
        "counted": counted,
        "within_band": None if counted is None else predicted.low <= counted <= predicted.high,
    }


def held(
    sizing: Sizing, record: BuildRecord, device: Target, counted: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Each limit beside the plan, of a prediction its upper end, and the build."""
    emulated = {row.quantity: row.value for row in record.measurements if row.how == "emulated"}
    latency = None
    if counted["counted"] is not None and device.cycles_per_instruction and device.clock_hz:
        cycles = counted["counted"] * device.cycles_per_instruction.value[1]
        latency = cycles / device.clock_hz.value * 1e3
    built = {
        "latency": (latency, "emulated instructions, upper cycles per instruction"),
        "instructions": (counted["counted"], "emulated"),
        "weights": (record.graph.weight_bytes, "the graph's"),
        "ram": (emulated.get("ram_bytes", record.graph.arena_bytes), "linked" if emulated else "the graph's"),
        "flash": (emulated.get("flash_bytes", record_size(record)), "linked" if emulated else "the file's"),
    }
    chosen = sizing.chosen
    planned = {
        "weights": chosen.weight_bytes,
        "ram": chosen.ram_bytes,
        "flash": chosen.flash_bytes,
        **{row.quantity: row.high for row in chosen.predictions if row.quantity in PREDICTED},
    }
    found = {}
    for name, limit in sizing.budget.items():
        value, how = built[name]
        found[name] = {
            "limit": limit,
            "of": "the teacher"
            if name in sizing.teachers
            else "the device"
            if name in sizing.defaults
            else "the user",
            "planned": planned[name],
            "built": value,
            "how": how if value is not None else "not run",
            "holds": value is not None and planned[name] <= limit and value <= limit,
        }
    return found


def record_size(record: BuildRecord) -> int:
    return max(file.size_bytes for file in record.artifacts if file.format in ("onnx", "tflite"))


if __name__ == "__main__":
    main()
