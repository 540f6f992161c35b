"""Attacks a build's student once for all its targets, and keeps what came out of each part."""

from __future__ import annotations

import hashlib
import json
import time

import numpy as np

from edgedistill.bench import robust
from edgedistill.data.types import ImageData, Split
from edgedistill.deliver import Run
from edgedistill.ir.graph import Graph
from edgedistill.quant.execute import GraphNet
from edgedistill.record import Robustness
from edgedistill.store import atomic_write

_PART = 100  # images attacked at a time; a broken-off attack goes on behind the last whole part
_KEYS = {"epsilon", "step", "attack_steps", "autoattack"}
_MASKED = 0.02  # of the images: fewer differ by chance

check = robust.check


def chosen(split: Split, count: int, seed: int) -> Split:
    """At most ``count`` examples by seed, the same for every student."""
    order = np.random.default_rng((seed, 0xADFE)).permutation(len(split))
    return split.rows(np.sort(order[:count]))


def attack(run: Run, data: ImageData, float_graph: Graph, integer: Graph) -> Robustness | None:
    """What PGD and AutoAttack achieve on test images; None where none is to be attacked."""
    section, seed = run.recipe.adversarial, run.recipe.seed
    if section.attacked_images == 0:
        return None
    some = chosen(data.test, section.attacked_images, seed)
    images = np.ascontiguousarray(some.images_NHWC)
    classes = len(data.labels)
    package = robust.told(classes) if section.autoattack else ""
    name = run.stage_key(
        "robustness",
        quantise=run.hashes["quantise"],
        images=hashlib.sha256(images.tobytes() + some.labels.tobytes()).hexdigest(),
        section=section.model_dump_json(include=_KEYS),
        package=package,
        seed=str(seed),
    )
    found = run.store.find("robustness", name)
    if found is None:
        run.reporter.stage("attack", f"{len(some)} test images, every value by at most {section.epsilon}/255")
        work, parts, seconds = run.store.work("robustness", name), [], 0.0
        real = GraphNet(float_graph).requires_grad_(False)
        for start in range(0, len(some), _PART):
            kept, part = work / f"{start}.json", slice(start, start + _PART)
            if not kept.exists():
                started = time.perf_counter()
                flags = robust.flags(real, integer, images[part], some.labels[part], section, seed + start)
                told = {"flags": flags, "seconds": time.perf_counter() - started}
                atomic_write(kept, json.dumps(told).encode())
            told = json.loads(kept.read_text())
            parts.append(told["flags"])
            seconds += told["seconds"]
            run.reporter.progress(min(start + _PART, len(some)), len(some), {"attack": f"{seconds:.0f} s"})
        made = Robustness(
            epsilon=section.epsilon,
            images=len(some),
            attacks=robust.summed(parts),
            autoattack=package or None,
            seconds=seconds,
        )
        with run.store.writing("robustness", name) as folder:
            (folder / "robustness.json").write_text(made.model_dump_json())
        found = run.store.find("robustness", name)
    assert found is not None
    made = Robustness.model_validate_json((found / "robustness.json").read_bytes())
    run.seconds["attack"] = made.seconds
    for text in masked(made):
        run.warn(text)
    return made


def masked(made: Robustness) -> list[str]:
    """Where images that fool the float student fool the int8 one more often than those made for it.

    A network whose own gradients mislead an attacker looks robust and is not (Athalye et al. 2018).
    """
    return [
        f"under {row.attack} the int8 student answers {row.student_int8:.1%} of the images made for it, but "
        f"{row.transferred:.1%} of those made for the float student: its gradients are masked, and the "
        "lower figure is the one to believe"
        for row in made.attacks
        if row.transferred < row.student_int8 - _MASKED
    ]
