"""The stage of a build that has no data: synthesises images from the teacher, and tests on real ones last."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from edgedistill import data as data_sets
from edgedistill import students
from edgedistill.data import cache
from edgedistill.data.types import ImageData
from edgedistill.deliver import Run
from edgedistill.distill import parallel
from edgedistill.errors import DataError, InputError
from edgedistill.recipe import DataSection, SynthesisSection
from edgedistill.synthesis import dataset
from edgedistill.synthesis.loop import synthesise
from edgedistill.synthesis.methods import weights
from edgedistill.synthesis.statistics import measured
from edgedistill.teachers import gradients
from edgedistill.teachers.gradients import Network

_SIDE = 32  # pixels, where neither recipe nor teacher says
NO_REAL_IMAGE = (
    "no real image was read: the accuracies are agreement with the teacher on held-out synthetic images; "
    "--test-data PATH tests the finished student on real ones"
)


@dataclass(frozen=True, eq=False)
class Plan:
    """What will be synthesised from which teacher; ``image_shape`` is (H, W, C)."""

    network: Network
    choices: SynthesisSection
    labels: tuple[str, ...]
    image_shape: tuple[int, int, int]
    test_identity: str  # of the real test images, which are not decoded yet; empty: there are none


def plan(run: Run, section: DataSection) -> Plan:
    """What a recipe asks for, its teacher loaded and looked at.

    Raises:
        TeacherError: no gradient flows through it, it has no BatchNorm statistics, or other classes.
        InputError: labels that are none.
        DataError: test images that cannot be used.
    """
    recipe = run.recipe
    labels = recipe.synthesis.labels or tuple(str(i) for i in range(recipe.synthesis.classes))
    if len(set(labels)) != len(labels) or len(labels) < 2:
        raise InputError("a class is named twice, or alone", where="synthesis.labels", fix="name each once")
    network = gradients.load(recipe.teacher, classes=len(labels), trust=recipe.trust)
    measured(network.module, network.name)
    side = section.resolution
    height, width = (side, side) if side else network.before.size or (_SIDE, _SIDE)
    network = gradients.tried(network, (height, width), len(labels))
    choices = recipe.synthesis.model_copy(update={"classes": len(labels)})
    shape, identity = (height, width, network.before.channels), ""
    if section.test is not None:
        test = data_sets.test_source(section.test, shape, trust=recipe.trust)
        _check_names(test.labels, labels, section.test, named=recipe.synthesis.labels is not None)
        identity = test.identity
    return Plan(network, choices, labels, shape, identity)


def _check_names(names: tuple[str, ...], labels: tuple[str, ...], where: str, *, named: bool) -> None:
    """Whether test data of the classes ``names`` fit a student's ``labels``: by name, if it has any."""
    unknown = [name for name in names if name not in labels] if named else []
    if unknown or (not named and len(names) != len(labels)):
        raise DataError(
            f"the test data have classes that the teacher lacks: {', '.join(unknown[:5])}"
            if unknown
            else f"the test data have {len(names)} classes, the teacher {len(labels)}",
            where=where,
            fix="set synthesis.labels to the teacher's classes, in its order and with the test data's names",
        )


@parallel.leader_first()
def data_set(run: Run, section: DataSection, spec: students.StudentSpec, plan: Plan) -> ImageData:
    """The synthetic data set of a plan, made first if it is not there yet. Reads no image.

    Raises:
        GateError: the loss is not a number any more.
    """
    recipe, network, choices = run.recipe, plan.network, plan.choices
    rivals = weights(choices).rival > 0
    name = run.stage_key(
        "synthesis",
        teacher=network.fingerprint,
        synthesis=choices.model_dump_json(),
        weights=str(weights(choices)),
        shape=str(plan.image_shape),
        shares=f"{section.validation_share},{section.test_share}",
        augment=",".join(section.augmentations),
        student=f"{recipe.student.spec},{recipe.distill.temperature}" if rivals else "none",
        seed=str(recipe.seed),
    )
    found = run.store.find("synthesis", name)
    if found is None:
        run.reporter.stage("synthesise", f"{choices.images} images by {choices.method} from {network.name}")
        started = time.perf_counter()
        torch.manual_seed(recipe.seed)
        work = run.store.work("synthesis", name)
        bank = synthesise(
            network,
            plan.image_shape,
            choices,
            section.augmentations,
            recipe.seed,
            work,
            run.reporter,
            student=spec.build(len(plan.labels), plan.image_shape[2]) if rivals else None,
            temperature=recipe.distill.temperature,
        )
        with run.store.writing("synthesis", name) as folder:
            title = f"synthetic images from {network.name}"
            dataset.write(folder, bank, choices.images, plan.labels, section, recipe.seed, title)
        run.seconds["synthesise"] = time.perf_counter() - started
        found = run.store.find("synthesis", name)
    else:
        run.reporter.note("synthetic images: found, not made again")
    assert found is not None
    data = cache.load(found)
    assert data is not None, "the store keeps whole folders only"
    if section.test is None:
        run.warn(NO_REAL_IMAGE)
    return data


@parallel.leader_first()
def with_real_test(run: Run, section: DataSection, data: ImageData) -> ImageData:
    """The data set with the recipe's real test images in place of the synthetic ones.

    Called when training is over, so that no choice can look at them.

    Raises:
        DataError: other classes than the teacher's.
    """
    assert section.test is not None
    run.reporter.stage("test data", section.test)
    test, names, fingerprint = data_sets.load_test(
        section.test, data.image_shape, cache=run.store.root / "data", trust=run.recipe.trust
    )
    named = run.recipe.synthesis.labels is not None
    _check_names(names, data.labels, section.test, named=named)
    if named:
        number = np.array([data.labels.index(name) for name in names], dtype=np.int64)
        test = replace(test, labels=number[test.labels])
    both = hashlib.sha256(f"{data.fingerprint}{fingerprint}".encode()).hexdigest()
    return replace(data, test=test, fingerprint=both)
