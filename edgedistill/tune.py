"""The page of edgedistill tune: recipes tried on the validation split, the best written with evidence."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import edgedistill
from edgedistill import data as data_sets
from edgedistill import launch, students, succession, target, tasks
from edgedistill import recipe as recipes
from edgedistill import record as records
from edgedistill.bench.machine import machine, versions
from edgedistill.build import load_data, trace_student
from edgedistill.data.split import thin_out
from edgedistill.data.types import ImageData, Split
from edgedistill.deliver import Run
from edgedistill.distill import adversarial
from edgedistill.errors import GateError, InputError
from edgedistill.evidence import Evidence, Searched, Trial
from edgedistill.recipe import Recipe
from edgedistill.record import EpochLog
from edgedistill.report import tuning as page
from edgedistill.reporter import QuietReporter, Reporter
from edgedistill.sizing import fits
from edgedistill.store import Store, atomic_write, check_writable
from edgedistill.teachers.check import TeacherReport, check
from edgedistill.teachers.types import Teacher
from edgedistill.teaching import check_taps, load_teacher
from edgedistill.training import distil
from edgedistill.tuning.space import KNOBS, USUAL, Choice, Range, applied, own, space
from edgedistill.tuning.study import Running, Study

SHORTER = 3  # a trial trains this part of the recipe's epochs: enough to rank (benchmarks/LOG.md)
LEAST_EPOCHS = 3


def tune(
    recipe: Recipe,
    out: Path,
    *,
    trials: int,
    timeout_s: float | None = None,
    epochs: int | None = None,
    share: float = 1.0,
    search: Sequence[str] = USUAL,
    fresh: bool = False,
    reporter: Reporter | None = None,
) -> Evidence:
    """Searches ``search`` around the recipe; the test split is not read.

    Args:
        out: gets recipe.toml, tuning.json, tuning.html and tuning.sqlite; the same call goes on there.
        trials: in all, those of earlier calls included.
        timeout_s: after which no trial begins.
        epochs: of one trial; a third of the recipe's if not given.
        share: of the training examples that a trial sees.
        search: rows of tuning.space.KNOBS.

    Raises:
        InputError: something of the user's cannot be used, or ``out`` holds another search.
        GateError: no trial came to an end.
    """
    if launch.size() > 1:
        raise InputError(
            "a search trains one small student after the other, in one process",
            where=f"{launch.size()} processes",
            fix="run tune without a launcher, and build on several processes",
        )
    _check_numbers(trials, timeout_s, epochs, share)
    succession.refuse(recipe, "tune")
    started = time.monotonic()
    recipe = adversarial.resolved(tasks.resolved(recipe, task := data_sets.task_of(recipe.data.source)))
    epochs = epochs or max(LEAST_EPOCHS, round(recipe.distill.epochs / SHORTER))
    ranges = space(recipe, task, search)
    run = Run(recipe, Store(out / ".cache"), reporter or QuietReporter())
    spec = students.parse(recipe.student.spec)
    targets = [target.load(name) for name in recipe.targets]
    check_writable(out)
    with run.store.lock():
        if fresh:
            run.store.clear()
            (out / "tuning.sqlite").unlink(missing_ok=True)
        data = load_data(run, spec.resolution)
        fits.check(trace_student(run, spec, data.labels, data.image_shape), targets, recipe)
        teacher = load_teacher(recipe, len(data.labels), data.image_shape)
        for text in teacher.notes:
            run.reporter.note(text)
        data = without_test(thinned(data, share, recipe.seed))
        ranges = _possible(run, ranges, spec, data, teacher)
        report = _check_teacher(run, teacher, data)
        default = {name: own(recipe, name) for name in ranges}
        study = Study(out / "tuning.sqlite", ranges, default, recipe.seed, epochs)
        with study.opened(_about(applied(recipe, default), ranges, data, teacher, epochs)):
            try:
                done = len(study.trials())
                if done >= trials:
                    run.reporter.note(f"nothing to train: {done} trials are done (see --trials and --fresh)")
                else:
                    run.reporter.stage("tune", _detail(trials, epochs, data))
                while done < trials and not _over(started, timeout_s, done, run.reporter):
                    _try(run, study.begin(), study.trials(), spec, data, teacher, epochs, trials)
                    done = len(study.trials())
            finally:  # Ctrl-C, too, leaves what was found so far
                made = _evidence(run, study, ranges, data, teacher, report, epochs, share)
                if made is not None:
                    _write(made, recipe, out)
    if made is None:
        raise GateError(
            "no trial came to an end: each of them diverged",
            where=str(out),
            fix="lower distill.lr (--set distill.lr=...), and search again with --fresh",
        )
    return made


def without_test(data: ImageData) -> ImageData:
    """The data set with no test example in it: what is chosen here must not have seen one."""
    h, w, c = data.image_shape
    return replace(data, test=Split(np.zeros((0, h, w, c), np.uint8), np.zeros(0, np.int64)))


def thinned(data: ImageData, share: float, seed: int) -> ImageData:
    """The data set with a share of its training examples, classes in proportion."""
    if share == 1:
        return data
    count = max(2 * len(data.labels), round(share * len(data.train)))
    rows = thin_out(data.train.labels, count, np.random.default_rng((seed, 0x5A4E)))
    fingerprint = hashlib.sha256(data.fingerprint.encode() + rows.tobytes()).hexdigest()
    return replace(data, train=data.train.rows(rows), fingerprint=fingerprint)


def _possible(
    run: Run,
    ranges: Mapping[str, Range],
    spec: students.StudentSpec,
    data: ImageData,
    teacher: Teacher,
) -> dict[str, Range]:
    """The ranges without mixes of losses that these two networks cannot be matched for."""
    mixes = ranges.get("losses")
    if not isinstance(mixes, Choice):
        return dict(ranges)
    fit = []
    for name in mixes.values:
        try:
            check_taps(applied(run.recipe, {"losses": name}), spec, data, teacher)
            fit.append(name)
        except InputError as error:
            if name == own(run.recipe, "losses"):
                raise
            run.reporter.note(f"the mix {name} is not tried: {error.what}")
    return {**ranges, "losses": Choice(tuple(fit))}


class _Progress:
    """One bar over all trials; what a training says of itself becomes a part of it."""

    def __init__(self, outer: Reporter, number: int, trials: int, best: float | None, detail: str) -> None:
        self._outer, self._number, self._trials, self._detail = outer, number, trials, detail
        self._best = {} if best is None else {"best": f"{best:.2%}"}
        self._elsewhere = False

    def stage(self, name: str, detail: str = "") -> None:
        if name != "distil":
            self._outer.stage(name, detail)
            self._elsewhere = True
        elif self._elsewhere:
            self._outer.stage("tune", self._detail)
            self._elsewhere = False

    def progress(self, done: int, total: int, fields: Mapping[str, str]) -> None:
        if self._elsewhere:
            self._outer.progress(done, total, fields)
            return
        shown = {name: fields[name] for name in ("epoch", "val") if name in fields}
        trial = {"trial": f"{self._number}/{self._trials}"}
        self._outer.progress(
            (self._number - 1) * total + done, self._trials * total, {**trial, **self._best, **shown}
        )

    def note(self, text: str) -> None:
        self._outer.note(text)

    def warn(self, text: str) -> None:
        self._outer.warn(text)

    def close(self) -> None: ...


class _Hopeless(Exception):
    """Ends a training that the halving gives up."""


def _try(
    run: Run,
    trial: Running,
    earlier: Sequence[Trial],
    spec: students.StudentSpec,
    data: ImageData,
    teacher: Teacher,
    epochs: int,
    trials: int,
) -> None:
    """Trains one student and tells the study how it ended."""
    recipe = applied(run.recipe, trial.values)
    recipe = recipe.model_copy(update={"distill": recipe.distill.model_copy(update={"epochs": epochs})})
    best = max(
        (t.accuracy for t in earlier if t.accuracy is not None and t.state == "complete"), default=None
    )
    voice = _Progress(run.reporter, trial.number, trials, best, _detail(trials, epochs, data))
    inner = Run(recipe, run.store, voice)
    seen: list[EpochLog] = []

    def after_epoch(logs: Sequence[EpochLog]) -> None:
        seen[:] = logs
        trial.tell(_accuracies(logs))
        if trial.given_up and len(logs) < epochs:
            raise _Hopeless

    try:
        if trial.given_up:
            raise _Hopeless
        _, logs = distil(inner, spec, data, teacher, after_epoch=after_epoch)
        trial.tell(_accuracies(logs))  # of a training that was found finished
        seen[:] = logs
        state, note = "complete", ""
    except _Hopeless:
        state, note = "pruned", f"given up after epoch {max(trial.by_epoch)} of {epochs}"
    except GateError as error:
        state, note = "failed", error.what
    trial.end(state, sum(log.seconds for log in seen), note)
    if state != "complete" and "distill" in inner.hashes:
        shutil.rmtree(run.store.work("distill", inner.hashes["distill"]), ignore_errors=True)
    values = ", ".join(f"{name} {page.shown(value)}" for name, value in trial.values.items())
    accuracy = f"{_accuracies(seen)[-1]:.2%}" if seen else "-"
    run.reporter.note(
        f"trial {trial.number}{' (the default)' if trial.default else ''}: {accuracy}"
        f"{', ' + note if note else ''}; {values}"
    )


def _accuracies(logs: Sequence[EpochLog]) -> list[float]:
    return [log.validation_accuracy or 0.0 for log in logs]


def _detail(trials: int, epochs: int, data: ImageData) -> str:
    return f"{trials} trials of {epochs} epochs on {len(data.train):,} {tasks.TASKS[data.task].examples}"


def _over(started: float, timeout_s: float | None, done: int, reporter: Reporter) -> bool:
    if timeout_s is None or time.monotonic() - started < timeout_s:
        return False
    reporter.note(f"the time is up after {done} trials; the same command goes on")
    return True


def _check_teacher(run: Run, teacher: Teacher, data: ImageData) -> TeacherReport:
    run.reporter.stage("teacher", teacher.name)
    report = check(teacher, data.validation, data.labels, run.recipe.teacher.batch)
    return run.tell_teacher(report, "validation", tasks.TASKS[data.task].examples)


def _about(
    base: Recipe, ranges: Mapping[str, Range], data: ImageData, teacher: Teacher, epochs: int
) -> dict[str, str]:
    """What a search depends on, by the name that a user knows it by."""
    distill = base.distill.model_copy(update={"epochs": epochs})
    return {
        "the search space": json.dumps({name: str(within) for name, within in ranges.items()}),
        "the training data": data.fingerprint,
        "the teacher": teacher.fingerprint,
        "the student": base.student.spec,
        "the training's settings": distill.model_dump_json() + json.dumps(base.data.augmentations),
        "the seed": str(base.seed),
    }


def _evidence(
    run: Run,
    study: Study,
    ranges: Mapping[str, Range],
    data: ImageData,
    teacher: Teacher,
    report: TeacherReport,
    epochs: int,
    share: float,
) -> Evidence | None:
    """None where no trial came to an end."""
    trials = study.trials()
    complete = [t for t in trials if t.state == "complete" and t.accuracy is not None]
    if not complete:
        return None
    best = max(complete, key=lambda t: (t.accuracy or 0.0, t.default, -t.number))
    importance, note = study.importance()
    return Evidence(
        edgedistill_version=edgedistill.__version__,
        created_utc=records.now_utc(),
        machine=machine(),
        versions=versions(),
        recipe=json.loads(run.recipe.model_dump_json()),
        recipe_sha256=recipes.sha256(applied(run.recipe, best.values)),
        seed=run.recipe.seed,
        epochs=epochs,
        share=share,
        train_examples=len(data.train),
        validation_examples=len(data.validation),
        student=run.recipe.student.spec,
        data=data.name,
        teacher=teacher.name,
        teacher_accuracy=report.accuracy,
        teacher_ece=report.ece,
        space=tuple(
            Searched(
                name=name,
                key=KNOBS[name].key,
                summary=KNOBS[name].summary,
                reason=KNOBS[name].reason,
                range=str(within),
                default=own(run.recipe, name),
            )
            for name, within in ranges.items()
        ),
        trials=trials,
        importance=importance,
        importance_note=note,
        best=best.number,
    )


def _write(made: Evidence, recipe: Recipe, out: Path) -> None:
    """The best recipe has the epochs of a whole training again."""
    best = applied(recipe, made.trial(made.best).values)
    atomic_write(out / "recipe.toml", recipes.to_toml(best).encode())
    atomic_write(out / "tuning.html", page.render(made).encode())
    atomic_write(out / "tuning.json", (made.model_dump_json(indent=1) + "\n").encode())


def _check_numbers(trials: int, timeout_s: float | None, epochs: int | None, share: float) -> None:
    if trials < 1:
        raise InputError(f"{trials} trials find nothing", where="--trials", fix="for example --trials 20")
    if timeout_s is not None and not timeout_s > 0:
        raise InputError("no time is given", where="--timeout", fix="for example --timeout 45min")
    if epochs is not None and epochs < 1:
        raise InputError(f"{epochs} epochs train nothing", where="--epochs", fix="for example --epochs 8")
    if not 0 < share <= 1:
        raise InputError(
            f"{share:g} is no share of the training examples", where="--share", fix="for example --share 25%"
        )
