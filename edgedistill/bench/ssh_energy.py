"""Takes a model's energy from a board's power while it ran, less that of the idle board, or says why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgedistill.bench.ssh_job import Report
from edgedistill.bench.trace import Trace, TraceError, energy

FEWEST = 10  # looks at a meter, of the idle board
SPREADS = 3  # median absolute deviations of the idle board, that a load is to stand out by


@dataclass(frozen=True)
class Figure:
    """Millijoules of one inference: the median of windows with its 95 % interval, and in words how.

    ``value`` None: there is none, for the reason in ``note``.
    """

    note: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    count: int = 0  # inferences in all windows


def per_inference(report: Report, index: int) -> Figure:
    """What one model takes beyond the idle board; no value where the meter is missing or cannot be right."""
    assert report.meter is not None
    name = report.meter.name
    if name is None:
        return _not_measured("; ".join(report.meter.reasons))
    idle, trace, load = report.idle, report.traces.get(index), report.loads.get(index)
    if idle is not None and idle.problem:
        return _not_measured(idle.problem)
    if idle is None or trace is None or load is None:
        return _not_measured(f"{name} was not read while the model ran")
    wrong = trace.problem or _wrong(idle.watts, trace.watts)
    if wrong:
        return _not_measured(f"{name} {wrong}" if not trace.problem else wrong)
    starts, ends, counts = zip(*load.windows, strict=True)
    try:
        found = energy(
            Trace(trace.times_s, trace.watts), Trace(idle.times_s, idle.watts), starts, ends, counts
        )
    except TraceError as error:
        return _not_measured(f"{name}: {error}")
    more = [j * n / (b - a) for j, n, a, b in zip(found.each_j, counts, starts, ends, strict=True)]
    if min(more) <= SPREADS * found.idle_mad_w:
        return _not_measured(
            f"the load's {min(more):.3g} W do not stand out from the idle board's "
            f"{found.idle_w:.4g} W (MAD {found.idle_mad_w:.2g} W)"
        )
    about = found.summary
    spread = f"{1e3 * about.minimum:.3g} to {1e3 * about.maximum:.3g} mJ"
    note = f"median of windows, {spread}; {found.note} (n={len(idle.watts)}); {name}: {report.meter.sees}"
    low, high = (None if end is None else 1e3 * end for end in (about.low, about.high))
    return Figure(note, 1e3 * about.median, low, high, found.inferences)


def _not_measured(reason: str) -> Figure:
    return Figure(f"not measured: {reason}")


def _wrong(idle: Sequence[float], load: Sequence[float]) -> str:
    """Why a meter's watts cannot be right; nothing: they can."""
    if len(idle) < FEWEST:
        return f"was read {len(idle)} times while the board idled, {FEWEST} at least"
    both = [*idle, *load]
    if min(both) < 0:
        return f"reads {min(both):.3f} W: its wires are the wrong way round"
    if max(both) == 0:
        return "reads 0 W: nothing flows through it"
    if min(both) == max(both):
        return f"is stuck: it read {both[0]:.3f} W {len(both)} times"
    return ""
