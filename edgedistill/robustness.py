"""Attacks a build's student and its teacher once for all targets, and keeps what came out of each part."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from pydantic import BaseModel

from edgedistill.bench import robust
from edgedistill.data.types import ImageData, Split
from edgedistill.deliver import Run
from edgedistill.errors import TeacherError
from edgedistill.ir.graph import Graph
from edgedistill.quant.execute import GraphNet
from edgedistill.recipe import TeacherSection
from edgedistill.record import AttackedTeacher, Robustness
from edgedistill.store import atomic_write
from edgedistill.teachers import gradients
from edgedistill.teachers.types import NOBODY, Teacher

_PART = 100  # images attacked at a time; a broken-off attack goes on behind the last whole part
_TEACHER = "teacher-attack"  # the stage
_KEYS = {"epsilon", "step", "attack_steps", "autoattack"}
_MASKED = 0.02  # of the images: fewer differ by chance

Attacker = Callable[[Split, int], robust.Flags]  # some examples, seed
M = TypeVar("M", bound=BaseModel)

check = robust.check


def chosen(split: Split, count: int, seed: int) -> Split:
    """At most ``count`` examples by seed, the same for every student."""
    order = np.random.default_rng((seed, 0xADFE)).permutation(len(split))
    return split.rows(np.sort(order[:count]))


def attack(
    run: Run, data: ImageData, teacher: Teacher, float_graph: Graph, integer: Graph
) -> Robustness | None:
    """What PGD and AutoAttack achieve on test images; None where none is to be attacked."""
    if run.recipe.adversarial.attacked_images == 0:
        return None
    made = attack_student(run, data, float_graph, integer)
    for text in masked(made):
        run.warn(text)
    if teacher is NOBODY:
        return made
    several = "several teachers answer together" if teacher.members else ""
    found = attack_teacher(run, data, run.recipe.teacher, teacher.fingerprint, several)
    return made.model_copy(update={"teacher": found})


def attack_student(run: Run, data: ImageData, float_graph: Graph, integer: Graph) -> Robustness:
    """What PGD and AutoAttack achieve on the float and the int8 student."""
    section, seed = run.recipe.adversarial, run.recipe.seed
    some = chosen(data.test, section.attacked_images, seed)
    classes = len(data.labels)
    package = robust.told(classes) if section.autoattack else ""
    name = run.stage_key(
        "robustness",
        quantise=run.hashes["quantise"],
        images=_identity(some),
        section=section.model_dump_json(include=_KEYS),
        package=package,
        seed=str(seed),
    )

    def make() -> Robustness:
        run.reporter.stage("attack", f"{len(some)} test images, every value by at most {section.epsilon}/255")
        real = GraphNet(float_graph).requires_grad_(False)
        parts, seconds = _in_parts(
            run,
            "robustness",
            name,
            some,
            lambda part, seed: robust.flags(real, integer, part, section, seed),
        )
        return Robustness(
            epsilon=section.epsilon,
            images=len(some),
            attacks=robust.summed(parts),
            autoattack=package or None,
            seconds=seconds,
        )

    made = _kept(run, "robustness", name, Robustness, make)
    run.seconds["attack"] = made.seconds
    return made


def attack_teacher(
    run: Run, data: ImageData, teacher: TeacherSection, fingerprint: str, not_run: str = ""
) -> AttackedTeacher:
    """What PGD achieves on the teacher, on the images that the student is attacked on.

    Args:
        not_run: why it cannot be attacked, if that is known already.
    """
    section, seed = run.recipe.adversarial, run.recipe.seed
    some = chosen(data.test, section.attacked_images, seed)
    attack = f"pgd-{section.attack_steps}"
    (height, width, channels), classes = data.image_shape, len(data.labels)
    made = AttackedTeacher(attack=attack, epsilon=section.epsilon, images=len(some), note=not_run)
    if not_run:
        return made
    name = run.stage_key(
        _TEACHER,
        teacher=fingerprint,
        images=_identity(some),
        section=section.model_dump_json(include=_KEYS - {"autoattack"}),
        seed=str(seed),
    )

    def make() -> AttackedTeacher:
        network = gradients.load(teacher, classes=classes, channels=channels, trust=run.recipe.trust)
        network = gradients.tried(network, (height, width), classes)
        run.reporter.stage("attack", f"the teacher, {attack} on {len(some)} test images")
        parts, seconds = _in_parts(
            run,
            _TEACHER,
            name,
            some,
            lambda part, seed: robust.under_pgd(network, part, section, seed),
        )
        clean, moved = (
            float(np.concatenate([part[kind] for part in parts]).mean()) for kind in ("none", attack)
        )
        return made.model_copy(update={"clean": clean, "robust": moved, "seconds": seconds})

    try:
        found = _kept(run, _TEACHER, name, AttackedTeacher, make)
    except TeacherError as cause:
        return made.model_copy(update={"note": cause.what})
    run.seconds[_TEACHER] = found.seconds
    return found


def _kept(run: Run, stage: str, name: str, model: type[M], make: Callable[[], M]) -> M:
    """What a stage found out, or what an earlier call kept of it."""
    found = run.store.find(stage, name)
    if found is not None:
        return model.model_validate_json((found / f"{stage}.json").read_bytes())
    made = make()
    with run.store.writing(stage, name) as folder:
        (folder / f"{stage}.json").write_text(made.model_dump_json())
    return made


def _identity(some: Split) -> str:
    images = np.ascontiguousarray(some.images_NHWC)
    return hashlib.sha256(images.tobytes() + some.labels.tobytes()).hexdigest()


def _in_parts(
    run: Run, stage: str, name: str, some: Split, attacker: Attacker
) -> tuple[list[robust.Flags], float]:
    """The flags of each part, and the seconds of all; a part that an earlier call finished is read."""
    work, parts, seconds = run.store.work(stage, name), [], 0.0
    for start in range(0, len(some), _PART):
        kept, part = work / f"{start}.json", some.rows(np.arange(start, min(start + _PART, len(some))))
        if not kept.exists():
            started = time.perf_counter()
            flags = attacker(part, run.recipe.seed + start)
            told = {"flags": flags, "seconds": time.perf_counter() - started}
            atomic_write(kept, json.dumps(told).encode())
        told = json.loads(kept.read_text())
        parts.append(told["flags"])
        seconds += told["seconds"]
        run.reporter.progress(min(start + _PART, len(some)), len(some), {"attack": f"{seconds:.0f} s"})
    return parts, seconds


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
