"""Ranks students by short distillations, successively halved; one cached teacher answers them all."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from edgedistill import students
from edgedistill.data.split import thin_out
from edgedistill.data.types import ImageData, Split
from edgedistill.distill import views as view_cache
from edgedistill.distill.evaluate import top1
from edgedistill.distill.loop import Schedule, fit
from edgedistill.distill.views import Views
from edgedistill.errors import GateError
from edgedistill.recipe import Recipe
from edgedistill.reporter import Reporter
from edgedistill.sized import Candidate, Finalist
from edgedistill.store import Store, key
from edgedistill.teachers.types import NOBODY, Teacher

BUDGET = 200_000  # training images that all short distillations of a search see together
FACTOR = 2  # of the candidates, one in so many goes on, and is trained for so many times the epochs
_STEPS = 50  # of an epoch, at least: a few steps of large batches do not tell students apart
_LEAST_BATCH = 16
_GLIMPSE = 500  # validation images, for the progress bar; all of them count at the end
_LEAST_IMAGES = 20  # per class


class Run(Protocol):
    """What a build hands on; deliver.Run is one."""

    @property
    def recipe(self) -> Recipe: ...
    @property
    def store(self) -> Store: ...
    @property
    def reporter(self) -> Reporter: ...


@dataclass(frozen=True)
class Rung:
    """So many students are trained for so many epochs each."""

    students: int
    epochs: int


@dataclass(frozen=True, eq=False)
class Lesson:
    """What short distillations learn from: fewer training images, no test image, the teacher's answers."""

    data: ImageData
    teacher: Teacher
    views: Views | None  # None: nobody teaches


@dataclass(frozen=True)
class Trained:
    """How a short distillation ended."""

    accuracy: float  # top-1 share 0..1 of the validation split, averaged weights
    seconds: float


def rank(
    run: Run,
    candidates: Sequence[Candidate],
    data: ImageData,
    teacher: Teacher,
    *,
    keep: int,
    budget: int = BUDGET,
    epochs: int = 1,
    at: Callable[[int], tuple[ImageData, Teacher]] | None = None,
) -> tuple[Finalist, ...]:
    """The ``keep`` candidates that learned most, best first; what they learned is not used further.

    Successive halving (Jamieson & Talwalkar 2016, algorithm 1): all are trained for ``epochs``, the better
    half anew for twice as many, until ``keep`` are left. Every training has a whole schedule of its own, so
    that accuracies of one rung compare. They learn from the teacher's soft targets and the labels, whatever
    the recipe's mix of losses, by its optimiser, temperature and alpha. The test split is not read.

    Args:
        keep: how many finalists.
        budget: training images that all trainings see together; an epoch has fewer images for more students.
        epochs: of the first rung.
        at: data and teacher at another resolution, asked for candidates that have one.

    Raises:
        GateError: every training diverged.
    """
    ladder = rungs(len(candidates), keep, epochs)
    total = sum(rung.students * rung.epochs for rung in ladder)
    images = max(budget // max(total, 1), _LEAST_IMAGES * len(data.labels))
    lessons: dict[int | None, Lesson] = {}
    for candidate in candidates:
        side = _side(candidate, at)
        if side not in lessons:
            own = at(side) if at is not None and side is not None else (data, teacher)
            lessons[side] = lesson(run, *own, images=images, views=ladder[-1].epochs)
    left, done = list(candidates), 0
    found: list[Finalist] = []
    for rung in ladder:
        found = []
        left = left[: rung.students]
        for candidate in left:
            learned_from = lessons[_side(candidate, at)]
            voice = _Progress(run.reporter, done, total, rung.epochs, _best(found), _detail(ladder, images))
            done += rung.epochs
            try:
                trained = train(run, learned_from, candidate.student, rung.epochs, voice)
            except GateError as error:
                run.reporter.note(f"{candidate.student} is out: {error.what}")
                continue
            found.append(
                Finalist(
                    candidate=candidate,
                    accuracy=trained.accuracy,
                    epochs=rung.epochs,
                    images=len(learned_from.data.train),
                    seconds=trained.seconds,
                )
            )
            run.reporter.note(f"{candidate.student}: {trained.accuracy:.2%} after {_epochs(rung.epochs)}")
        found.sort(key=lambda finalist: -finalist.accuracy)
        left = [finalist.candidate for finalist in found]
    if candidates and not found:
        raise GateError(
            "no short distillation came to an end: each of them diverged",
            where="sizing",
            fix=f"lower distill.lr (now {run.recipe.distill.lr:g})",
        )
    return tuple(found[:keep])


def _side(candidate: Candidate, at: Callable[[int], tuple[ImageData, Teacher]] | None) -> int | None:
    """The resolution that a candidate's data must be fetched at; None: those at hand."""
    return None if at is None else candidate.resolution


def rungs(count: int, keep: int, epochs: int = 1) -> tuple[Rung, ...]:
    """12 students of which 3 are kept: 12 for 1 epoch, 6 for 2, 3 for 4."""
    assert keep >= 1 and epochs >= 1
    if count == 0:
        return ()
    found = [Rung(count, epochs)]
    while found[-1].students > keep:
        last = found[-1]
        found.append(Rung(max(math.ceil(last.students / FACTOR), keep), last.epochs * FACTOR))
    return tuple(found)


def lesson(run: Run, data: ImageData, teacher: Teacher, *, images: int, views: int) -> Lesson:
    """At most ``images`` training images, classes in proportion, each in at most ``views`` cached views.

    The teacher is asked once; a later call finds its answers in the store.
    """
    recipe = run.recipe
    rows = thin_out(data.train.labels, images, np.random.default_rng((recipe.seed, 0x512E)))
    h, w, c = data.image_shape
    fewer = replace(
        data,
        train=data.train.rows(rows),
        test=Split(np.zeros((0, h, w, c), np.uint8), np.zeros(0, np.int64)),
        fingerprint=hashlib.sha256(data.fingerprint.encode() + rows.tobytes()).hexdigest(),
    )
    if teacher is NOBODY:
        return Lesson(fewer, teacher, None)
    count = max(1, min(views, recipe.distill.views or views))
    name = key("views", view_cache.parts(fewer, teacher, count, recipe.data.augmentations, recipe.seed))
    if run.store.find("views", name) is None:
        run.reporter.stage("soft targets", f"{count} views of {len(rows):,} images, to rank students")
    cached = view_cache.kept(
        run.store, name, fewer, teacher, count, recipe.data.augmentations, recipe.seed, run.reporter
    )
    return Lesson(fewer, teacher, cached)


def train(run: Run, lesson: Lesson, student: str, epochs: int, reporter: Reporter) -> Trained:
    """A student's accuracy after a short distillation; kept, and found by a second call.

    Raises:
        GateError: it diverged.
    """
    import torch

    planned = _schedule(run.recipe, lesson, epochs)
    name = key(
        "ranked",
        {
            "data": lesson.data.fingerprint,
            "teacher": lesson.teacher.fingerprint,
            "views": str(0 if lesson.views is None else len(lesson.views.images)),
            "student": student,
            "schedule": repr(planned),
        },
    )
    kept = run.store.find("ranked", name)
    if kept is None:
        glimpse = thin_out(lesson.data.validation.labels, _GLIMPSE, np.random.default_rng(run.recipe.seed))
        looked_at = replace(lesson.data, validation=lesson.data.validation.rows(glimpse))  # after each epoch
        torch.manual_seed(run.recipe.seed)
        net = students.parse(student).build(len(lesson.data.labels), lesson.data.image_shape[2])
        logs = fit(net, looked_at, planned, reporter, run.store.work("ranked", name), views=lesson.views)
        row = {"accuracy": top1(net, lesson.data.validation), "seconds": sum(log.seconds for log in logs)}
        with run.store.writing("ranked", name) as folder:
            (folder / "trained.json").write_text(json.dumps({"student": student, "epochs": epochs, **row}))
    else:
        row = json.loads((kept / "trained.json").read_text())
    return Trained(row["accuracy"], row["seconds"])


def _schedule(recipe: Recipe, lesson: Lesson, epochs: int) -> Schedule:
    """The recipe's, with batches small enough for a few images to make enough steps."""
    choices = recipe.distill
    batch = min(choices.batch, max(_LEAST_BATCH, len(lesson.data.train) // _STEPS))
    smaller = batch / choices.batch
    return Schedule(
        stage="distill",
        epochs=epochs,
        batch=batch,
        # the rate falls with the batch for SGD (Goyal et al. 2017, section 2.1), with its root for
        # optimisers that normalise their steps (Malladi et al. 2022, section 4)
        lr=choices.lr * (smaller if choices.optimiser == "sgd" else math.sqrt(smaller)),
        temperature=choices.temperature,
        alpha=1.0 if lesson.data.train.unlabelled else choices.alpha,
        seed=recipe.seed,
        optimiser=choices.optimiser,
        shape=choices.schedule,
        weight_decay=choices.weight_decay,
        ema=choices.ema,
        clip_norm=choices.clip_norm,
        precision="float32",  # what pays would be timed anew for each student
        augment=recipe.data.augmentations,
    )


class _Progress:
    """One bar over all short distillations."""

    def __init__(
        self, outer: Reporter, done: int, total: int, epochs: int, best: float | None, detail: str
    ) -> None:
        self._outer, self._done, self._total, self._epochs = outer, done, total, epochs
        self._best = {} if best is None else {"best": f"{best:.2%}"}
        if done == 0:
            outer.stage("rank", detail)

    def stage(self, name: str, detail: str = "") -> None:
        self._outer.stage(name, detail)

    def progress(self, done: int, total: int, fields: Mapping[str, str]) -> None:
        steps = total // self._epochs  # of an epoch
        shown = {name: fields[name] for name in ("epoch", "val") if name in fields}
        self._outer.progress(self._done * steps + done, self._total * steps, {**self._best, **shown})

    def note(self, text: str) -> None:
        self._outer.note(text)

    def warn(self, text: str) -> None:
        self._outer.warn(text)

    def close(self) -> None: ...


def _best(found: Sequence[Finalist]) -> float | None:
    return max((finalist.accuracy for finalist in found), default=None)


def _detail(ladder: Sequence[Rung], images: int) -> str:
    steps = ", then ".join(f"{rung.students} for {_epochs(rung.epochs)}" for rung in ladder)
    return f"{steps}, of at most {images:,} images each"


def _epochs(count: int) -> str:
    return f"{count} epoch{'' if count == 1 else 's'}"
