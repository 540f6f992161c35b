"""Chooses a build's student: the best that keeps the budget, judged untrained; kept like any other stage."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import edgedistill
from edgedistill import data as data_sets
from edgedistill import datafree, tasks
from edgedistill import recipe as recipes
from edgedistill.data.types import ImageData
from edgedistill.deliver import Run
from edgedistill.distill import adversarial, parallel
from edgedistill.errors import InputError
from edgedistill.recipe import Recipe
from edgedistill.sized import Finalist, Sizing
from edgedistill.sizing import budget, cost, finalists, scores, search, space
from edgedistill.sizing.budget import Budget, Missing
from edgedistill.sizing.candidates import Judge, Judged, Predict
from edgedistill.store import key
from edgedistill.target import Target
from edgedistill.teachers.types import NOBODY, Teacher
from edgedistill.teaching import load_teacher

HISTORY = "sizing.sqlite"
_TRIALS = {"quick": 1000, "thorough": 2000}
_RANKED = 4  # candidates that are distilled for a short while, for each finalist
_SHOWN = 40  # of the front

Load = Callable[[Run, int | None], ImageData]
"""Data at a resolution; None: the recipe's."""


def wanted(recipe: Recipe, devices: Sequence[Target], missing: Missing = cost.missing) -> Budget | None:
    """The budget that a build's student is searched for; None: the student is named, or nothing limits it.

    Raises:
        InputError: a search was asked for, and nothing limits it or a limit cannot be predicted.
    """
    asked = recipe.sizing.search
    if recipe.student.spec != "auto" or asked == "none":
        return None
    limits = budget.of(recipe, devices)
    if asked != "auto":
        check_limited(limits)
        limits.check(devices, missing)
        return limits
    limits = limits.without({limit.name for _, limit, _ in limits.unpredictable(devices, missing)})
    return limits if limits.sizes else None


def unpredictable(
    recipe: Recipe, devices: Sequence[Target], missing: Missing = cost.missing
) -> tuple[str, ...]:
    """Limits of the user's that ``wanted`` lets go because nothing predicts them: what is missing."""
    if recipe.student.spec != "auto" or recipe.sizing.search == "none":
        return ()
    limits = budget.of(recipe, devices)
    return tuple(
        f"the student is not chosen for the limit of {limit.name}: {words}"
        for _, limit, words in limits.unpredictable(devices, missing)
        if not limit.default
    )


def check_limited(limits: Budget) -> None:
    """Something limits the size or the speed of a student.

    Raises:
        InputError: nothing does, so the largest student would be the best.
    """
    if not limits.tightest():
        raise InputError(
            "nothing limits the student, so there is no best one",
            where="budget",
            fix="give a limit, as in --budget flash=256KiB or --budget latency=2ms",
        )


@dataclass(frozen=True)
class Problem:
    """What a student is chosen for; ``data`` is None where images are made from the teacher."""

    families: tuple[str, ...]
    labels: tuple[str, ...]
    image_shape: tuple[int, int, int]
    sides: tuple[int, ...]  # of the input, to search; empty: the data's own
    data: ImageData | None
    teacher: Teacher | None  # None: candidates are not distilled
    teacher_parameters: int | None = None  # None: unknown, or there is no teacher


@parallel.alone()
def stage(
    run: Run, devices: Sequence[Target], limits: Budget, load: Load, predict: Predict = cost.predict
) -> Sizing:
    """The sizing of a build, kept under the hash of all that decides it; the work of one process.

    Args:
        run: of which the recipe says what to search.
        devices: that one student has to fit.
        limits: ``wanted``'s.
        load: the data.
        predict: time and energy.

    Raises:
        InputError: an unknown family or proxy, layers named in int16, or data that cannot be used.
        BudgetError: no student keeps the budget.
    """
    _check_int16(run.recipe)
    task = data_sets.task_of(run.recipe.data.source)
    run = run.within(adversarial.resolved(tasks.resolved(run.recipe, task)))
    recipe, section = run.recipe, run.recipe.sizing
    families = space.families(section.families, tasks.TASKS[task].students)
    scores.check(section.proxy)
    problem = _problem(run, task, families, load)
    if problem.teacher_parameters:
        limits = limits.below_teacher(problem.teacher_parameters)
    parts = _parts(recipe, devices, limits, problem)
    history = key("search", parts)[:16]  # more trials or a thorough search go on with the same history
    parts |= {"sizing": section.model_dump_json(), "fields": ",".join(Sizing.model_fields)}
    if problem.teacher is not None:
        parts |= {"teacher": problem.teacher.fingerprint, "distill": recipe.distill.model_dump_json()}
    name = run.stage_key("size", **parts)
    kept = run.store.find("size", name)
    if kept is not None:
        return Sizing.model_validate_json((kept / "sizing.json").read_bytes())
    started = time.perf_counter()
    score = scores.make(section.proxy, problem.data)
    judge = Judge(recipe, devices, limits, problem.image_shape, problem.labels, score, predict)
    kind: Literal["quick", "thorough"] = "thorough" if section.search == "thorough" else "quick"
    trials = section.trials or _TRIALS[kind]
    run.reporter.stage("size", f"{trials:,} candidates of {', '.join(families)}")
    found = search.search(
        judge,
        dict.fromkeys(families, problem.sides),
        trials=trials,
        seed=recipe.seed,
        path=run.store.root / HISTORY,
        name=history,
        reporter=run.reporter,
    )
    ranked = _ranked(run, judge, found, problem, load)
    made = conclude(found, judge, families[0], kind, section.proxy, ranked)
    seconds = time.perf_counter() - started
    made, run.seconds["size"] = made.model_copy(update={"seconds": seconds}), seconds
    with run.store.writing("size", name) as folder:
        (folder / "sizing.json").write_text(made.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return made


def conclude(
    found: Sequence[Judged],
    judge: Judge,
    family: str,
    kind: Literal["quick", "thorough"],
    proxy: str,
    ranked: tuple[Finalist, ...] = (),
) -> Sizing:
    """Chooses among judged candidates, and says why.

    Args:
        found: all that were judged.
        judge: holds them against the budget.
        family: whose default student is the naive choice.
        kind: of the search.
        proxy: what scored them.
        ranked: those that were distilled for a short while, best first; none: the score alone ranks.

    Raises:
        BudgetError: no candidate keeps the budget.
    """
    fitting = [judged for judged in found if not judged.candidate.misses]
    if ranked:
        first = ranked[0]
        chosen = judge.exact(next(j for j in fitting if j.candidate.student == first.candidate.student))
        why = f"learned most in {first.epochs} epochs of {first.images:,} images"
    else:
        chosen = search.best(fitting, judge)
        why = f"has the highest score by {proxy}"
    limits = judge.budget.tightest()
    binding = next(limit for limit in limits if limit.name == chosen.binding)
    shown = search.front(found, [limit.name for limit in limits])[:_SHOWN]
    naive = judge.judge(family)
    return Sizing(
        targets=tuple(device.name for device in judge.devices),
        budget=judge.budget.numbers(),
        defaults=tuple(limit.name for limit in limits if limit.default or limit.memory),
        teachers=tuple(limit.name for limit in limits if limit.teacher),
        search=kind,
        judged=len(found),
        fitting=len(fitting),
        seconds=0.0,
        proxy=scores.words(proxy),
        front=tuple(judged.candidate for judged in shown),
        finalists=ranked,
        chosen=chosen.candidate,
        naive=naive.candidate if naive is not None else None,
        binding=chosen.binding,
        reason=(
            f"{chosen.candidate.student} {why} of {len(fitting):,} students that fit, of {len(found):,} "
            f"judged; what binds is {binding.name}: it uses {chosen.load:.0%} of {binding.words}"
        ),
    )


def with_student(run: Run, made: Sizing) -> Run:
    """The build with the chosen student in its recipe, as if the user had named it."""
    section = recipes.StudentSection(spec=made.chosen.student)
    changes = {"student": section, "sizing": recipes.SizingSection()}
    return replace(run, recipe=run.recipe.model_copy(update=changes), sizing=made)


def beside_teacher(made: Sizing | None, teacher: Teacher, accuracy: float | None) -> Sizing | None:
    """The sizing with what the teacher has and reaches, for comparison."""
    known = {"teacher_parameters": teacher.parameters, "teacher_accuracy": accuracy}
    return None if made is None else made.model_copy(update=known)


def _check_int16(recipe: Recipe) -> None:
    if recipe.quantise.int16 not in ((), "auto"):
        raise InputError(
            "layers are named in int16, and students are searched in int8, each with layers of its own",
            where="quantise.int16",
            fix='quantise.int16 = "auto", or name the student, as in --student resnet',
        )


def _problem(run: Run, task: str, families: tuple[str, ...], load: Load) -> Problem:
    recipe = run.recipe
    thorough = recipe.sizing.search == "thorough"
    if recipe.data.synthetic:
        if thorough:
            raise InputError(
                "a thorough search distils candidates, and there are no images yet to distil them with",
                where="sizing.search and data.source",
                fix='sizing.search = "quick" (--search quick)',
            )
        run.reporter.stage("data", recipe.data.source)
        plan = datafree.plan(run, recipe.data)
        return Problem(families, plan.labels, plan.image_shape, (), None, None)
    data = load(run, None)
    fixed = recipe.data.resolution is not None or task != "image-classification"
    sides = space.sides(data.image_shape, fixed=fixed)
    named = recipe.teacher.spec != "digits" or recipe.data.source == "digits"  # else it is nobody's choice
    teacher = load_teacher(recipe, len(data.labels), data.image_shape) if thorough or named else None
    known = teacher.parameters if teacher is not None else None
    return Problem(families, data.labels, data.image_shape, sides, data, teacher if thorough else None, known)


def _ranked(
    run: Run, judge: Judge, found: Sequence[Judged], problem: Problem, load: Load
) -> tuple[Finalist, ...]:
    """The best candidates whose linked files keep the budget, distilled for a short while."""
    data, teacher, keep = problem.data, problem.teacher, run.recipe.sizing.finalists
    if data is None or teacher is None:
        return ()
    fitting = [judged for judged in found if not judged.candidate.misses]
    tried = [judge.exact(judged).candidate for judged in search.to_rank(fitting, _RANKED * keep)]

    def at(side: int) -> tuple[ImageData, Teacher]:
        other = load(run, side)
        asked = teacher is NOBODY
        return other, NOBODY if asked else load_teacher(run.recipe, len(other.labels), other.image_shape)

    kept = [candidate for candidate in tried if not candidate.misses]
    return finalists.rank(run, kept, data, teacher, keep=keep, at=at)


def _parts(recipe: Recipe, devices: Sequence[Target], limits: Budget, problem: Problem) -> dict[str, str]:
    """What the history of a search depends on."""
    proxy = recipe.sizing.proxy
    seen = problem.data.fingerprint if problem.data is not None and not scores.is_analytic(proxy) else ""
    return {
        "devices": json.dumps([device.model_dump(mode="json") for device in devices]),
        "budget": json.dumps(limits.numbers(), sort_keys=True),
        "formats": json.dumps([recipes.formats(recipe, device) for device in devices]),
        "family": recipe.export.family,
        "cc": recipe.bench.cc,
        "families": ",".join(problem.families),
        "proxy": proxy,
        "data": seen,
        "seed": str(recipe.seed),
        "classes": str(len(problem.labels)),
        "shape": json.dumps([*problem.image_shape, *problem.sides]),
        "version": edgedistill.__version__,
    }
