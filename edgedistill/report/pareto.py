"""Shows how a student was chosen: candidates against what they cost, finalists, limits, and the reasons."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

from markupsafe import Markup

from edgedistill.report import people, svg
from edgedistill.report.template import template
from edgedistill.sized import Candidate, Finalist, Quantity, Sizing
from edgedistill.units import format_bytes, format_count, format_ms

NOTHING = "–"


@dataclass(frozen=True)
class Amount:
    """What a candidate takes of one thing; ``low`` and ``high`` are the band of a prediction."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def most(self) -> float:
        """What a limit is held against."""
        return self.value if self.high is None else self.high


@dataclass(frozen=True)
class Axis:
    """One thing that students cost. ``scale``: how much of it is one unit of a picture's axis."""

    title: str
    unit: str
    scale: float
    of: Callable[[Candidate], Amount | None]
    words: Callable[[float], str]

    def said(self, candidate: Candidate) -> str:
        """The amount for people; a prediction is called one, with its band."""
        amount = self.of(candidate)
        if amount is None:
            return NOTHING
        if amount.low is None or amount.high is None:
            return self.words(amount.value)
        band = f"{self.words(amount.low)} to {self.words(amount.high)}"
        return f"predicted {self.words(amount.value)} ({band})"


def _predicted(quantity: Quantity) -> Callable[[Candidate], Amount | None]:
    def amount(candidate: Candidate) -> Amount | None:
        found = candidate.predicted(quantity)
        return None if found is None else Amount(found.value, found.low, found.high)

    return amount


AXES: Mapping[str, Axis] = {  # by the name of their limit in a budget
    "flash": Axis("flash", "KiB", 2**10, lambda c: Amount(c.flash_bytes), format_bytes),
    "ram": Axis("RAM", "KiB", 2**10, lambda c: Amount(c.ram_bytes), format_bytes),
    "weights": Axis("weights", "KiB", 2**10, lambda c: Amount(c.weight_bytes), format_bytes),
    "latency": Axis("latency", "ms", 1, _predicted("latency"), format_ms),
    "instructions": Axis("instructions", "millions", 1e6, _predicted("instructions"), format_count),
    "energy": Axis("energy", "mJ", 1, _predicted("energy"), lambda mj: f"{mj:.3g} mJ"),
    "macs": Axis("MACs", "millions", 1e6, lambda c: Amount(c.macs), format_count),
}


@dataclass(frozen=True)
class Limit:
    """A row of the budget: what is allowed, and what the chosen student takes of it."""

    name: str
    allowed: str
    taken: str
    share: float | None  # of the limit; None: not known
    origin: str
    binds: bool


@dataclass(frozen=True)
class Row:
    """A network of the table; ``role`` is a note under its name."""

    network: str
    role: str
    accuracy: str
    score: str
    amounts: tuple[str, ...]


@dataclass(frozen=True)
class View:
    """What the template shows."""

    sentence: str
    reason: str
    limits: tuple[Limit, ...]
    score_pictures: tuple[tuple[str, Markup], ...]
    accuracy_pictures: tuple[tuple[str, Markup], ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    how: tuple[str, ...]  # what finalists' accuracy and predictions are


def view(sizing: Sizing) -> View:
    """The section's words and pictures."""
    axes = shown(sizing)
    return View(
        sentence=sentence(sizing),
        reason=sizing.reason,
        limits=tuple(limits(sizing)),
        score_pictures=_pictures(sizing, axes, _scores(sizing), "score", percent=False),
        accuracy_pictures=_pictures(sizing, axes, _accuracies(sizing), "accuracy", percent=True),
        columns=tuple(axis.title for axis in axes.values()),
        rows=tuple(rows(sizing)),
        how=tuple(_how(sizing)),
    )


def page(sizing: Sizing) -> str:
    """The section as a page of its own, HTML text: no script, no request to any network."""
    return template("sizing.html.j2").render(
        chosen=_name(sizing.chosen), targets=", ".join(sizing.targets), sizing=view(sizing), people=people
    )


def shown(sizing: Sizing) -> dict[str, Axis]:
    """Axes with a picture and a column: those known of the chosen, MACs where nothing is predicted."""
    known = {name: axis for name, axis in AXES.items() if axis.of(sizing.chosen) is not None}
    hidden = {"weights", "macs"} if sizing.chosen.predictions else {"weights"}
    return {name: axis for name, axis in known.items() if name in sizing.budget or name not in hidden}


def sentence(sizing: Sizing) -> str:
    """How many were judged, and by what they were ranked."""
    fitting = "one keeps" if sizing.fitting == 1 else f"{sizing.fitting:,} keep"
    return (
        f"{sizing.judged:,} candidates were judged for {', '.join(sizing.targets)} in "
        f"{people.duration(sizing.seconds)}, of which {fitting} every limit, ranked by {sizing.proxy}. "
        f"{sizing.chosen.student} was chosen."
    )


def limits(sizing: Sizing) -> Iterator[Limit]:
    """The budget beside what the chosen student takes."""
    for name, allowed in sizing.budget.items():
        origin = "the target's own" if name in sizing.defaults else "yours"
        origin = "the teacher's size" if name in sizing.teachers else origin
        binds = name == sizing.binding
        if name == "accuracy":
            reached = _accuracy_of(sizing, sizing.chosen)
            taken = NOTHING if reached is None else people.percent(reached)
            yield Limit("accuracy, at least", people.percent(allowed), taken, None, origin, binds)
            continue
        axis = AXES[name]
        amount = axis.of(sizing.chosen)
        share = None if amount is None or allowed <= 0 else amount.most / allowed
        yield Limit(axis.title, axis.words(allowed), axis.said(sizing.chosen), share, origin, binds)


def rows(sizing: Sizing) -> Iterator[Row]:
    """The finalists, best first, the chosen one among them; then the naive choice and the teacher."""
    axes = shown(sizing).values()
    listed = [one.candidate for one in sizing.finalists]
    if not any(_same(sizing.chosen, candidate) for candidate in listed):
        listed.insert(0, sizing.chosen)
    if sizing.naive is not None and not any(_same(sizing.naive, candidate) for candidate in listed):
        listed.append(sizing.naive)
    for candidate in listed:
        reached = _accuracy_of(sizing, candidate)
        yield Row(
            network=_name(candidate),
            role=_role(sizing, candidate),
            accuracy=NOTHING if reached is None else people.percent(reached),
            score=NOTHING if candidate.score is None else f"{candidate.score:.4g}",
            amounts=tuple(axis.said(candidate) for axis in axes),
        )
    if sizing.teacher_accuracy is not None or sizing.teacher_parameters is not None:
        count = sizing.teacher_parameters
        yield Row(
            network="the teacher",
            role="" if count is None else f"{format_count(count)} parameters",
            accuracy=NOTHING if sizing.teacher_accuracy is None else people.percent(sizing.teacher_accuracy),
            score=NOTHING,
            amounts=(NOTHING,) * len(axes),
        )


def _same(one: Candidate, other: Candidate | None) -> bool:
    """Whether both are the same network at the same resolution, whatever is known of them."""
    return other is not None and (one.student, one.resolution) == (other.student, other.resolution)


def _role(sizing: Sizing, candidate: Candidate) -> str:
    roles = []
    if _same(candidate, sizing.chosen):
        roles.append("chosen")
    if _same(candidate, sizing.naive):
        roles.append("the family's default")
    if candidate.misses:
        roles.append(f"misses {', '.join(candidate.misses)}")
    return ", ".join(roles)


def _name(candidate: Candidate) -> str:
    if candidate.resolution is None or "resolution=" in candidate.student:
        return candidate.student
    return f"{candidate.student} at {candidate.resolution} pixels"


def _finalist(sizing: Sizing, candidate: Candidate) -> Finalist | None:
    return next((one for one in sizing.finalists if _same(one.candidate, candidate)), None)


def _accuracy_of(sizing: Sizing, candidate: Candidate) -> float | None:
    found = _finalist(sizing, candidate)
    return None if found is None else found.accuracy


def _scores(sizing: Sizing) -> list[tuple[Candidate, float]]:
    """What was scored, each once, the chosen one last so that nothing hides it."""
    others = [*sizing.front, *(one.candidate for one in sizing.finalists)]
    every = [*others, *([sizing.naive] if sizing.naive else []), sizing.chosen]
    unique = {(one.student, one.resolution): one for one in every}
    unique[sizing.chosen.student, sizing.chosen.resolution] = unique.pop(
        (sizing.chosen.student, sizing.chosen.resolution)
    )
    return [(c, c.score) for c in unique.values() if c.score is not None and math.isfinite(c.score)]


def _accuracies(sizing: Sizing) -> list[tuple[Candidate, float]]:
    """Finalists, best last."""
    return [(one.candidate, one.accuracy) for one in reversed(sizing.finalists)]


def _pictures(
    sizing: Sizing,
    axes: Mapping[str, Axis],
    points: list[tuple[Candidate, float]],
    quality: str,
    *,
    percent: bool,
) -> tuple[tuple[str, Markup], ...]:
    """One for each axis: (heading, chart)."""
    if not points:
        return ()
    level = None
    if percent and sizing.teacher_accuracy is not None:
        level = svg.Level("teacher", sizing.teacher_accuracy)
    made = []
    for name, axis in axes.items():
        allowed = sizing.budget.get(name)
        dots = [dot for candidate, y in points if (dot := _dot(sizing, candidate, y, axis)) is not None]
        word = "predicted " if name in ("latency", "instructions", "energy") else ""
        heading = f"{quality.capitalize()} against {word}{axis.title}"
        chart = svg.scatter(
            heading,
            dots,
            f"{word}{axis.title}, {axis.unit}",
            percent=percent,
            limit=None if allowed is None else allowed / axis.scale,
            level=level,
            stairs=[dot for dot in dots if not dot.square],
        )
        made.append((heading, chart))
    return tuple(made)


def _dot(sizing: Sizing, candidate: Candidate, y: float, axis: Axis) -> svg.Dot | None:
    amount = axis.of(candidate)
    if amount is None:
        return None
    chosen, naive = _same(candidate, sizing.chosen), _same(candidate, sizing.naive)
    return svg.Dot(
        label=_name(candidate),
        css="loss" if chosen else "float" if naive else "int8",
        x=amount.value / axis.scale,
        y=y,
        low=None if amount.low is None else amount.low / axis.scale,
        high=None if amount.high is None else amount.high / axis.scale,
        name="chosen" if chosen else "default" if naive else "",
        square=naive and not chosen,
    )


def _how(sizing: Sizing) -> Iterator[str]:
    """Where the figures come from."""
    if sizing.finalists:
        epochs, images = sizing.finalists[0].epochs, sizing.finalists[0].images
        seconds = fmean(one.seconds for one in sizing.finalists)
        yield (
            f"Accuracy is that of a short distillation ({epochs} epoch{'' if epochs == 1 else 's'} of "
            f"{images:,} images, {people.duration(seconds)} each) on the validation split: it ranks, and is "
            "below what a whole training reaches."
        )
    yield (
        "RAM and MACs are exact, as is flash"
        + (", linked for the core." if sizing.chosen.flash_exact else " but for the code's size.")
    )
    sources = {p.source: None for p in sizing.chosen.predictions}
    if sources:
        yield (
            "What is called predicted comes from a model fitted to measurements; the band held nine of ten "
            f"networks when it was cross-validated ({'; '.join(sources)})."
        )
