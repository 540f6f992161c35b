"""How fast untrained students are judged: lowering, arena, flash, MACs and predictions of random candidates.

    python benchmarks/judge.py --candidates 2000 --json benchmarks/results/judge.json

One process; seconds of the processor and of the clock, with the few links of kernel sets that they need.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import provenance

from edgedistill import target
from edgedistill.recipe import Recipe
from edgedistill.sizing import budget, search, space
from edgedistill.sizing.analytic import ANALYTIC
from edgedistill.sizing.candidates import Judge

BUDGET = {"weights": "96KiB", "ram": "54KiB", "macs": "12.5M"}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--candidates", type=int, default=2000)
    parser.add_argument("--target", default="nucleo-l4r5zi")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    device = target.load(args.target)
    recipe = Recipe(targets=(args.target,), budget=BUDGET)
    score = ANALYTIC["entropy"].score
    wall, cpu = time.perf_counter(), time.process_time()
    judge = Judge(
        recipe,
        [device],
        budget.of(recipe, [device]),
        (32, 32, 3),
        tuple("0123456789"),
        lambda _, graph: score(graph),
    )
    rng = random.Random(args.seed)
    axes = {family: search.trimmed(judge, family, ()) for family in ("resnet", "mobilenet")}
    fitting = 0
    for index in range(args.candidates):
        family = ("resnet", "mobilenet")[index % 2]
        judged = judge.judge(space.spec(family, {a.name: rng.choice(a.values) for a in axes[family]}))
        fitting += judged is not None and not judged.candidate.misses
        if index + 1 in (100, args.candidates // 2):
            print(index + 1, f"{time.process_time() - cpu:.1f} s of the processor", flush=True)
    result = {
        "candidates": args.candidates,
        "fitting": fitting,
        "traced": judge.traced,
        "wall_s": time.perf_counter() - wall,
        "processor_s": time.process_time() - cpu,
        "candidates_per_processor_s": args.candidates / (time.process_time() - cpu),
    }
    print(result)
    if args.json:
        provenance.write(args.json, result, {})


if __name__ == "__main__":
    main()
