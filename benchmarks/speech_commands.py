"""Speech Commands: a distilled DS-CNN beside a plainly trained one, several seeds, on speakers never heard.

    OMP_NUM_THREADS=1 python benchmarks/speech_commands.py --real-data DIR --teacher FILE.safetensors \
        --out out/words --json FILE

The teacher comes from train_keyword_teacher.py. ``--alpha`` 0 is plain training: the same schedule and
variations, drawn anew in every epoch instead of kept. A broken-off run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import time
from pathlib import Path

from edgedistill import recipe as recipes
from edgedistill.bench.machine import machine, versions
from edgedistill.build import build
from edgedistill.reporter import PlainReporter

RECIPE = Path(__file__).with_suffix(".toml")
TRAININGS = ("distilled", "plain")
KINDS = ("student_float", "student_int8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--real-data", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--trainings", nargs="+", choices=TRAININGS, default=TRAININGS)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--views", type=int)
    parser.add_argument("--student")
    arguments = parser.parse_args()
    runs: list[dict[str, object]] = []
    for seed in arguments.seeds:
        for training in arguments.trainings:
            overrides = {
                "data.source": str(arguments.real_data / "speech_commands"),
                "teacher.spec": f"{arguments.teacher}@edgedistill.teachers.architectures:keyword_teacher",
                "distill.epochs": arguments.epochs,
                "distill.views": arguments.views,
                "student.spec": arguments.student,
                "distill.alpha": 0.0 if training == "plain" else None,
                "seed": seed,
            }
            chosen = recipes.resolve(RECIPE, {k: v for k, v in overrides.items() if v is not None})
            started = time.perf_counter()
            record = build(chosen, arguments.out, reporter=PlainReporter())["android-arm64"]
            kept = arguments.out / f"seed{seed}-{training}"  # the next build takes the target's folder
            shutil.rmtree(kept, ignore_errors=True)
            (arguments.out / "android-arm64").rename(kept)
            accuracy = record.accuracy
            validation = [log.validation_accuracy for log in record.epochs]
            runs.append(
                {
                    "training": training,
                    "seed": seed,
                    **{kind: getattr(accuracy, kind) for kind in KINDS},
                    "validation": validation[-1] if validation else None,
                    "identical": all(
                        p.identical == p.values
                        for p in record.parity
                        if p.how == "measured" and p.family == "F"
                    ),
                    "stage_seconds": record.stage_seconds,
                    "seconds": time.perf_counter() - started,
                }
            )
            print(json.dumps(runs[-1]), flush=True)
    result = {
        "command": _without_folders(" ".join(sys.argv), arguments),
        "machine": machine(),
        "versions": versions(),
        "teacher": accuracy.teacher,
        "test_clips": accuracy.test_images,
        "recipe": {k: v for k, v in record.recipe.items() if k not in ("data", "teacher")},
        "graph": json.loads(record.graph.model_dump_json()),
        "tflite_bytes": next(a.size_bytes for a in record.artifacts if a.path == "student.tflite"),
        "summary": {
            training: {
                kind: {"mean": statistics.mean(v), "stdev": statistics.stdev(v), "count": len(v)}
                for kind in KINDS
                if len(v := [float(str(r[kind])) for r in runs if r["training"] == training]) > 1
            }
            for training in arguments.trainings
        },
        "runs": runs,
    }
    arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["summary"]))


def _without_folders(command: str, arguments: argparse.Namespace) -> str:
    for path, word in (
        (arguments.real_data, "DIR"),
        (arguments.teacher, "TEACHER"),
        (arguments.out, "OUT"),
        (arguments.json, "FILE"),
    ):
        command = command.replace(str(path), word)
    return command


if __name__ == "__main__":
    main()
