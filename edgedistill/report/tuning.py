"""Renders tuning.json as one self-contained page: what was tried, what mattered, what to believe."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from edgedistill.evidence import Evidence, Searched, Trial, Value
from edgedistill.report import people, svg
from edgedistill.report.html import Card
from edgedistill.report.template import template

_STATES = {"complete": "good", "pruned": "idle", "failed": "bad"}  # pills


def render(evidence: Evidence) -> str:
    """The page as HTML text: no script, no request to any network."""
    best = evidence.trial(evidence.best)
    return template("tuning.html.j2").render(
        e=evidence,
        best=best,
        heading=f"{evidence.student} on {evidence.data}",
        cards=_cards(evidence),
        rows=tuple((row, shown(row.default), shown(best.values[row.name])) for row in evidence.space),
        history=_history(evidence.trials, evidence),
        curves=tuple(
            (row, _curve(row, evidence))
            for row in evidence.space
            if all(isinstance(t.values[row.name], int | float) for t in evidence.trials)
        ),
        importance=svg.bars(
            "What mattered",
            [(name, [("", "int8", 100 * share)]) for name, share in evidence.importance.items()],
            "%",
        ),
        shown=shown,
        states=_STATES,
        people=people,
    )


def shown(value: Value) -> str:
    """A searched value for people."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value).replace(",", ", ") or "none"


def _cards(evidence: Evidence) -> tuple[Card, ...]:
    best = evidence.trial(evidence.best)
    default, gain, error = evidence.default, evidence.gain, evidence.standard_error
    states = [t.state for t in evidence.trials]
    counts = ", ".join(f"{states.count(s)} {s}" for s in ("complete", "pruned", "failed") if s in states)
    seconds = sum(t.seconds for t in evidence.trials)
    sure = gain is not None and error is not None and gain >= 2 * error and gain > 0
    return (
        Card("Best", people.percent(best.accuracy), f"trial {best.number}, validation, float32"),
        Card("Default", people.percent(default.accuracy if default else None), "the recipe's own values"),
        Card(
            "Gain",
            people.points(gain) if gain is not None else people.MISSING,
            "" if error is None else f"standard error at most {100 * error:.1f} points",
            "good" if sure else "plain",
        ),
        Card("Trials", str(len(evidence.trials)), counts),
        Card("Training time", people.duration(seconds), f"{evidence.epochs} epochs a trial at most"),
        Card("Teacher", people.percent(evidence.teacher_accuracy), "on the same validation examples"),
    )


def _points(trials: Sequence[Trial], name: str | None, state: str) -> tuple[tuple[float, float], ...]:
    found = []
    for trial in trials:
        accuracy = trial.accuracy
        if trial.state == state and accuracy is not None and math.isfinite(accuracy):
            found.append((float(trial.values[name]) if name else float(trial.number), accuracy))
    return tuple(found)


def _history(trials: Sequence[Trial], evidence: Evidence) -> Markup:
    path: list[tuple[float, float]] = []
    for x, y in _points(trials, None, "complete"):
        path.append((x, max(y, path[-1][1] if path else y)))
    best = svg.Series("best so far", "loss", tuple(path))
    series = [
        svg.Series("given up", "float", _points(trials, None, "pruned")),
        svg.Series("complete", "int8", _points(trials, None, "complete")),
    ]
    return svg.dots("Accuracy by trial", series, "trial", best=best, level=_default_level(evidence))


def _curve(row: Searched, evidence: Evidence) -> Markup:
    """Of complete trials: the others trained less, and would press these together."""
    return svg.dots(
        f"Accuracy by {row.name}",
        [svg.Series("complete", "int8", _points(evidence.trials, row.name, "complete"))],
        row.name,
        log="logarithmic" in row.range,
        level=_default_level(evidence),
    )


def _default_level(evidence: Evidence) -> svg.Level | None:
    default = evidence.default
    if default is None or default.accuracy is None:
        return None
    return svg.Level("default", default.accuracy)
