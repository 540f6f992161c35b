"""Takes a model's energy from a board's power while it ran, less that of the idle board, or says why not."""

from __future__ import annotations

from collections.abc import Sequence

from edgedistill.bench import statistics
from edgedistill.bench.ssh_job import Report

FEWEST = 10  # looks at a meter, of the idle board and in each window


def per_inference(report: Report, index: int) -> tuple[float | None, int, str]:
    """Millijoules of one inference beyond the idle board, of how many inferences, and in words how.

    The median of windows, each the mean of the meter's watts in it, less the idle board's median, times
    its seconds, over its inferences. None instead of a figure where the meter is missing or cannot be right.
    """
    assert report.meter is not None
    if report.meter.name is None:
        return None, 0, f"not measured: {'; '.join(report.meter.reasons)}"
    name = report.meter.name
    idle, trace, load = report.idle, report.traces.get(index), report.loads.get(index)
    if idle is not None and idle.problem:
        return None, 0, f"not measured: {idle.problem}"
    if idle is None or trace is None or load is None or not load.windows:
        return None, 0, f"not measured: {name} was not read while the model ran"
    if trace.problem:
        return None, 0, f"not measured: {trace.problem}"
    wrong = _wrong(idle.watts, trace.watts)
    if wrong:
        return None, 0, f"not measured: {name} {wrong}"
    base = statistics.median(idle.watts)
    each_mj = []
    for began, ended, count in load.windows:
        inside = [w for t, w in zip(trace.times_s, trace.watts, strict=False) if began <= t <= ended]
        if len(inside) < FEWEST:
            return None, 0, f"not measured: {name} was read {len(inside)} times in a window of a load"
        mean = sum(inside) / len(inside)
        each_mj.append(1e3 * (mean - base) * (ended - began) / count)
    middle = statistics.median(each_mj)
    idle_words = f"idle {base:.3f} W, {min(idle.watts):.3f} to {max(idle.watts):.3f} W, n={len(idle.watts)}"
    if min(each_mj) <= 0:
        return None, 0, f"not measured: {name} does not tell the load from the idle board ({idle_words})"
    total = sum(count for _, _, count in load.windows)
    return (
        middle,
        total,
        f"beyond the idle board ({idle_words}); median of {len(each_mj)} windows, "
        f"{min(each_mj):.3g} to {max(each_mj):.3g} mJ; {name}: {report.meter.sees}",
    )


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
