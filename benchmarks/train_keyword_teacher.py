"""Trains the keyword teacher on Speech Commands; writes its weights and prints its figures.

    OMP_NUM_THREADS=1 python benchmarks/train_keyword_teacher.py --real-data DIR --out FILE.safetensors

The same data, splits, variations and loop as the student's, with hard labels alone.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from edgedistill import data, tasks
from edgedistill.bench.machine import machine, versions
from edgedistill.distill.evaluate import top1
from edgedistill.distill.loop import Schedule, fit
from edgedistill.recipe import DataSection
from edgedistill.reporter import PlainReporter
from edgedistill.teachers.architectures import keyword_teacher, parameter_count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--real-data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--lr", type=float, default=0.04)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--work", type=Path, help="a folder that keeps data and checkpoints; else a temporary one"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        section = DataSection(source=str(arguments.real_data / "speech_commands"))
        clips = data.load(section, seed=arguments.seed, cache=work)
        torch.manual_seed(arguments.seed)
        net = keyword_teacher(len(clips.labels))
        schedule = Schedule(
            stage="distill",
            epochs=arguments.epochs,
            batch=100,
            lr=arguments.lr,
            temperature=1.0,
            alpha=0.0,
            seed=arguments.seed,
            optimiser="muon",
            weight_decay=0.01,
            ema=0.98,
            precision="float32",
            augment=tasks.TASKS["keyword-spotting"].augmentations or (),
        )
        started = time.perf_counter()
        fit(net, clips, schedule, PlainReporter(), work)
        figures = {
            "parameters": parameter_count(net),
            "epochs": arguments.epochs,
            "seconds": round(time.perf_counter() - started, 1),
            **{
                name: {"accuracy": round(top1(net, split), 4), "clips": len(split)}
                for name, split in (
                    ("train", clips.train),
                    ("validation", clips.validation),
                    ("test", clips.test),
                )
            },
            "machine": machine(),
            "versions": versions(),
        }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, arguments.out)
    print(json.dumps({**figures, "size_bytes": arguments.out.stat().st_size}, indent=1))


if __name__ == "__main__":
    main()
