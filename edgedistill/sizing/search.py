"""Searches the families' numbers for the best student inside a budget."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from edgedistill.errors import BudgetError
from edgedistill.reporter import Reporter
from edgedistill.sizing import space
from edgedistill.sizing.budget import Budget
from edgedistill.sizing.candidates import Judge, Judged
from edgedistill.sizing.history import History
from edgedistill.sizing.space import Axis

_FEW = 6  # values of an axis that are all tried, whatever the budget


def search(
    judge: Judge,
    families: Mapping[str, Sequence[int]],
    *,
    trials: int,
    seed: int,
    path: Path,
    name: str,
    reporter: Reporter,
) -> tuple[Judged, ...]:
    """Judges ``trials`` candidates in all, those of earlier searches of this name included.

    Args:
        judge: holds them against the budget.
        families: to search, each with the sides of its input (none: the data's own).
        trials: how many, in equal parts for each family.
        seed: of the search.
        path: SQLite file of the history.
        name: of what the search depends on: another name is another search.

    Raises:
        BudgetError: not even the smallest student keeps the budget.
        InputError: the file is no history.
    """
    check_possible(judge, families)
    found: dict[str, Judged] = {}
    each = -(-trials // len(families))
    for index, (family, sides) in enumerate(families.items()):
        history = History(path, f"{name}-{family}", trimmed(judge, family, sides), seed)
        reporter.progress(index * each + min(len(history), each), each * len(families), {"family": family})
        while len(history) < each:
            for proposal in history.generation():
                spec = space.spec(family, proposal.values)
                if spec not in found:
                    judged = judge.judge(spec)
                    if judged is not None:
                        found[spec] = judged
                history.tell(proposal, found.get(spec))
            history.keep()
            done = index * each + min(len(history), each)
            fitting = sum(not judged.candidate.misses for judged in found.values())
            reporter.progress(done, each * len(families), {"family": family, "fit": str(fitting)})
        found.update({judged.candidate.student: judged for judged in history.judged()})
    return tuple(found.values())


def trimmed(judge: Judge, family: str, sides: Sequence[int]) -> tuple[Axis, ...]:
    """A family's numbers without values that no student keeps the budget with, however small the rest."""
    axes = space.axes(family, sides)
    least = {axis.name: axis.values[0] for axis in axes}

    def misses(name: str, value: int) -> bool:
        judged = judge.judge(space.spec(family, {**least, name: value}))
        return judged is None or bool(judged.candidate.misses)

    found = []
    for axis in axes:
        values = axis.values
        if len(values) > _FEW:
            values = values[: bisect.bisect_left(values, True, lo=1, key=partial(misses, axis.name))]
        found.append(replace(axis, values=values))
    return tuple(found)


def check_possible(judge: Judge, families: Mapping[str, Sequence[int]]) -> None:
    """Tries each family's smallest student, whose needs no other's are below.

    Raises:
        BudgetError: none keeps the budget, or none can be built.
    """
    corners = [judge.judge(space.smallest(family, sides)) for family, sides in families.items()]
    built = [corner for corner in corners if corner is not None]
    if not built:
        raise BudgetError(
            f"no student of {', '.join(families)} can be built for this data and these devices",
            where=f"input {' x '.join(map(str, judge.image_shape))}",
            fix="choose other families (--family), or a higher data.resolution",
        )
    least = min(built, key=lambda judged: judged.load)
    if least.candidate.misses:
        raise impossible(least, judge.budget)


def impossible(least: Judged, budget: Budget) -> BudgetError:
    """What the smallest student would need, the limit that it misses most first."""
    limits = {limit.name: limit for limit in budget.tightest()}
    order = sorted(least.candidate.misses, key=lambda name: -least.uses[name])
    needs = [
        f"{limits[name].amount(least.uses[name] * limits[name].value)} of {name}, and the limit is "
        f"{limits[name].words}"
        for name in order
    ]
    return BudgetError(
        f"no student keeps the budget: the smallest there is, {least.candidate.student}, needs "
        + "; ".join(needs),
        where=f"budget.{order[0]}",
        fix="raise "
        + " and ".join(
            f"{name} to {limits[name].amount(least.uses[name] * limits[name].value * 1.01)}" for name in order
        )
        + ", or choose a device with more",
    )


def front(found: Sequence[Judged], limited: Sequence[str]) -> tuple[Judged, ...]:
    """Those that fit and that no other beats: as high a score with less of everything; best score first.

    Args:
        found: judged candidates.
        limited: names of limits; only what is limited counts as a need.
    """
    needs = [name for name in dict.fromkeys(limited) if any(name in judged.uses for judged in found)]
    best: list[tuple[tuple[float, ...], Judged]] = []
    fitting = [judged for judged in found if not judged.candidate.misses]
    for judged in sorted(fitting, key=lambda judged: (-_score(judged), judged.load)):
        row = tuple(judged.uses.get(name, 0.0) for name in needs)
        if not any(all(a <= b for a, b in zip(other, row, strict=True)) for other, _ in best):
            best.append((row, judged))
    return tuple(judged for _, judged in best)


def to_rank(fitting: Sequence[Judged], count: int) -> tuple[Judged, ...]:
    """The best scores for a short distillation, first one of each depth and shape, then the next best."""
    ordered = sorted(fitting, key=lambda judged: -_score(judged))
    seen: set[str] = set()
    first = []
    for judged in ordered:
        family, _, numbers = judged.candidate.student.partition(":")
        shape = family + ",".join(
            part for part in numbers.split(",") if not part.startswith(("width", "head"))
        )
        if shape not in seen:
            seen.add(shape)
            first.append(judged)
    rest = [judged for judged in ordered if judged not in first]
    return tuple([*first, *rest][:count])


def best(fitting: Sequence[Judged], judge: Judge) -> Judged:
    """The highest score whose own files, linked or written, keep the budget, too.

    Raises:
        BudgetError: no candidate keeps it.
    """
    for judged in sorted(fitting, key=lambda judged: (-_score(judged), judged.load)):
        exact = judge.exact(judged)
        if not exact.candidate.misses:
            return exact
    raise BudgetError(
        "no candidate keeps the budget once it is linked",
        where="budget",
        fix="raise the limits, or judge more candidates (sizing.trials)",
    )


def _score(judged: Judged) -> float:
    return judged.candidate.score if judged.candidate.score is not None else float("-inf")
