"""Speech Commands: a distilled DS-CNN beside a plainly trained one, several seeds, on speakers never heard.

    OMP_NUM_THREADS=1 python benchmarks/speech_commands.py --real-data DIR --teacher FILE.safetensors \
        --out out/words --json FILE

The teacher is the kept one, or one of ``edgedistill teach --data DIR/speech_commands --teacher-family keyword
--set teacher.normalisation=0.50196078/0.25098039``. Plain training (alpha 0) has the same schedule and
variations, drawn anew in every epoch instead of kept. A broken-off run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

import provenance

from edgedistill import recipe as recipes
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
    runs: list[dict[str, Any]] = []
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
                    "parity": [json.loads(row.model_dump_json()) for row in record.parity],
                    "stage_seconds": record.stage_seconds,
                    "seconds": time.perf_counter() - started,
                }
            )
            print(json.dumps(runs[-1]), flush=True)
    result = {
        "teacher": accuracy.teacher,
        "test_clips": accuracy.test_images,
        "recipe": {k: v for k, v in record.recipe.items() if k not in ("data", "teacher")},
        "graph": json.loads(record.graph.model_dump_json()),
        "tflite_bytes": next(a.size_bytes for a in record.artifacts if a.path == "student.tflite"),
        "summary": {
            training: {
                kind: provenance.spread([r[kind] for r in runs if r["training"] == training])
                for kind in KINDS
            }
            for training in arguments.trainings
        },
        "runs": runs,
    }
    words = {"DIR": arguments.real_data, "TEACHER": arguments.teacher, "OUT": arguments.out}
    provenance.write(arguments.json, result, words)
    print(json.dumps(result["summary"]))


if __name__ == "__main__":
    main()
