"""Measures designed networks on a device or its emulator, and fits the device's cost model to them."""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgedistill.errors import GateError, InputError, writing
from edgedistill.ir.graph import Graph
from edgedistill.reporter import QuietReporter, Reporter
from edgedistill.runners import aarch64
from edgedistill.sizing import cost, designed, fit
from edgedistill.sizing.fit import Observation
from edgedistill.sizing.measure import MEASURERS, Measured, Measurer, Place, other_machine
from edgedistill.sizing.work import Work
from edgedistill.store import atomic_write, key
from edgedistill.target import Cost, Runtime, Target

NETWORKS = 128
LEAST = 3 * fit.FOLDS


def place_of(device: Target) -> Place:
    """Where a device is measured unless the user says otherwise."""
    emulated = device.default_runner == "cortex-m" or aarch64.architecture(device) is not None
    return "emulator" if emulated and other_machine(device) is not None else "local"


def check(device: Target, place: Place, runtime: Runtime, count: int = NETWORKS) -> Measurer:
    """How a device is measured.

    Raises:
        InputError: it cannot be, or not with so few networks.
    """
    where = f"--target {device.name} --on {place} --runtime {runtime}"
    if runtime in _ELSEWHERE:
        raise InputError(
            f"{device.title} runs {runtime}, which cannot be measured: {_ELSEWHERE[runtime]}",
            where=where,
            fix="limit flash, ram, weights or macs, or name another of its runtimes with --runtime",
        )
    row = MEASURERS[place, runtime]
    reason = row.why_not(device)
    if reason is not None:
        fix = _FIX[place if cost.emulated(device, runtime) else "local"]
        raise InputError(f"{device.title} cannot be measured: {reason}", where=where, fix=fix)
    if runtime == "c" and cost.works(designed.networks(1)[0], device, runtime) is None:
        raise InputError(
            f"which of the C kernels {device.title} runs is not known",
            where=where,
            fix="state its cpu and features in the target file",
        )
    if count < LEAST:
        raise InputError(
            f"{count} networks are too few for a model and its error",
            where="--networks",
            fix=f"give {LEAST} at least",
        )
    return row


_FIX: Mapping[Place, str] = {
    "emulator": "install what is missing, or choose --on local on the device itself",
    "local": "run the command with --on local on the device itself, or limit flash, ram, weights or macs",
}
_ELSEWHERE: Mapping[Runtime, str] = {
    "coreml": "it runs on Apple's systems alone, where Xcode reports a built model's latency",
    "tflite-micro": "an accelerator is modelled by Vela, whose cycles are in a build's record",
}
"""Runtimes that no place runs, and who knows what they take."""


def calibrate(
    device: Target,
    place: Place,
    runtime: Runtime,
    unfinished: Path,
    *,
    here: str,
    count: int = NETWORKS,
    reporter: Reporter | None = None,
) -> Cost:
    """A device's cost model of a runtime, from measurements.

    Args:
        device: with the facts that its compiler and emulator need.
        place: where it is measured.
        runtime: whose kernels.
        unfinished: keeps finished measurements until all are; a later call goes on from there.
        here: this machine, in words.
        count: of designed networks.
        reporter: is told of the progress.

    Raises:
        InputError: the device cannot be measured so.
        GateError: what measures fails, or answers what cannot be.
    """
    reporter = reporter or QuietReporter()
    row = check(device, place, runtime, count)
    machine = here if row.machine is None else row.machine(device)
    software = row.software(device)
    reporter.stage("calibrate", f"{count} designed networks on {machine}")
    graphs = designed.networks(count, scale=row.scale)
    works = [_works(graph, device, runtime) for graph in graphs]
    identity = key(
        "calibrate", {"machine": machine, "software": software, "count": str(count), "works": repr(works)}
    )
    done = _resumed(unfinished, identity)
    if done:
        reporter.note(f"{len(done)} networks were measured before")
    reporter.progress(len(done), count, {})
    for measured in row.measure(graphs[len(done) :], device):
        for one in measured:
            _check(one, works[len(done)], graphs[len(done)])
            done.append(one)
        _keep(unfinished, identity, done)
        reporter.progress(len(done), count, {"last": f"{sum(done[-1].values):,.4g}"})
    if len(done) != count:
        raise GateError(
            f"{len(done)} of {count} networks were answered", where=machine, fix="run the command again"
        )
    reporter.stage("fit", f"{sum(map(len, works))} steps")
    found = fit.fit([o for i, one in enumerate(done) for o in observations(i, works[i], one)])
    with contextlib.suppress(OSError):
        unfinished.unlink()
    return Cost(
        runtime=runtime,
        quantity=row.quantity,
        machine=machine,
        software=software,
        date=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        graphs=count,
        error_median=_rounded(found.error_median),
        error_p90=_rounded(found.error_p90),
        band=(_rounded(found.band[0]), _rounded(found.band[1])),
        spread=_rounded(float(np.median([one.spread for one in done]))),
        coefficients={kernel: dict(values) for kernel, values in sorted(found.coefficients.items())},
    )


def observations(network: int, works: Sequence[Work], measured: Measured) -> tuple[Observation, ...]:
    """A network's measurement as the fit wants it: each step for itself, or all together."""
    if len(measured.values) == 1:
        return (Observation(network, tuple(works), measured.values[0]),)
    return tuple(
        Observation(network, (work,), value) for work, value in zip(works, measured.values, strict=True)
    )


def _works(graph: Graph, device: Target, runtime: Runtime) -> tuple[Work, ...]:
    found = cost.works(graph, device, runtime)
    assert found is not None, "check() has seen that the kernels are known"
    return found


def _check(measured: Measured, works: Sequence[Work], graph: Graph) -> None:
    """Holds an answer against what was asked.

    Raises:
        GateError: not one number for each step, or a number that none can be.
    """
    values = np.asarray(measured.values, np.float64)
    if len(values) not in (1, len(works)) or not np.isfinite(values).all() or (values <= 0).any():
        raise GateError(
            f"{len(values)} numbers for {len(works)} steps, from {values.min(initial=0):g} "
            f"to {values.max(initial=0):g}, cannot be what they take",
            where=graph.name,
            fix="check the device and its clock or counter, then run the command again",
        )


def _resumed(path: Path, identity: str) -> list[Measured]:
    """Measurements of the same networks on the same machine; what cannot be read is measured again."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["identity"] != identity:
            return []
        return [Measured(tuple(map(float, values)), float(spread)) for values, spread in kept["measured"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _keep(path: Path, identity: str, done: Sequence[Measured]) -> None:
    text = json.dumps({"identity": identity, "measured": [(one.values, one.spread) for one in done]})
    with writing("the measurements so far", path, "choose a file that can be written with --out"):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, text.encode())


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
