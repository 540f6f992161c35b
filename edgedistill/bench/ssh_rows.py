"""Turns what a board said into rows: figures with their spread, comparisons, and words on heat and throttling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from edgedistill.bench import emulated, statistics
from edgedistill.bench.compare import compared
from edgedistill.bench.on_board.facts import throttling_words
from edgedistill.bench.places import Found, Request
from edgedistill.bench.ssh_job import Missing, Report, State, System, Task
from edgedistill.record import Measurement, Parity

REMEDY = "choose the runtime of a file that is identical, and report the difference"
_PERFORMANCE = "performance"  # the governor that keeps the clock up


def found(report: Report, tasks: Sequence[Task], untrusted: bool, request: Request, where: str) -> Found:
    """All rows of a report that is complete."""
    system = report.system
    assert system is not None and report.meter is not None and len(report.states) == 2
    device = device_words(system)
    measurements, parity = [], []
    for index, task in enumerate(tasks):
        said = report.failed.get(index)
        if isinstance(said, Missing):
            measurements.append(_latency_not_run(task, said.reason, device, where))
            if not task.is_float:
                parity.append(_parity_not_run(task, said.reason, where))
            continue
        measurements += [
            _latency(report, index, task, request, device, where),
            _memory(report, index, task, request, device, where),
        ]
        if not task.is_float:
            measurements.append(_energy(report, index, task, device, where))
            parity.append(_parity(report, index, task, device, where))
    if untrusted:
        parity.append(emulated.not_trusted())
    before, after = report.states
    notes = (f"{device}, Python {system.python}", heat_words(before, after))
    return Found(
        tuple(measurements),
        tuple(parity),
        warnings=tuple(warnings(before, after)),
        notes=notes,
        remedy=REMEDY,
    )


def device_words(system: System) -> str:
    """``Raspberry Pi 5 Model B Rev 1.0 (Cortex-A76, 4 cores, Linux 6.6.31, Debian GNU/Linux 12)``."""
    cores = f"{system.cores} core{'s' * (system.cores != 1)}"
    words = ", ".join(part for part in (system.processor, cores, system.kernel, system.os) if part)
    return f"{system.board or f'a board ({system.machine})'} ({words})"


def heat_words(before: State, after: State) -> str:
    """Temperatures, clocks and throttling before and after, in a line."""
    parts = [
        f"{zone} {before.temperatures_c[zone]:.1f} to {after.temperatures_c[zone]:.1f} °C"
        for zone in before.temperatures_c
        if zone in after.temperatures_c
    ] or ["no thermal zone"]
    if before.frequencies_mhz and after.frequencies_mhz:
        parts.append(f"{max(before.frequencies_mhz):,.0f} to {max(after.frequencies_mhz):,.0f} MHz")
    if after.governors:
        parts.append(f"governor {', '.join(after.governors)}")
    if after.throttled is None:
        parts.append("throttling not told (no vcgencmd)")
    else:
        parts.append(", ".join(throttling_words(after.throttled)) or "never throttled since it started")
    return "; ".join(parts)


def warnings(before: State, after: State) -> Iterator[str]:
    """What makes the times worse than the board's best."""
    bits = after.throttled or 0
    new = bits & ~(before.throttled or 0)
    if bits & 0xF or new:
        yield (
            f"the board was held back while it was measured: {', '.join(throttling_words(bits & 0xF | new))}; "
            "use a stronger power supply or a cooler"
        )
    elif bits:
        yield f"the board was held back before it was measured: {', '.join(throttling_words(bits))}"
    slow = [governor for governor in after.governors if governor != _PERFORMANCE]
    if slow:
        yield (
            f"the governor {', '.join(slow)} may lower the clock between inferences; "
            f"for steady times: echo {_PERFORMANCE} | sudo tee "
            "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        )


def _latency(
    report: Report, index: int, task: Task, request: Request, device: str, where: str
) -> Measurement:
    said = report.answered[index]
    about = statistics.summary(said.times_ms)
    between = (
        f"95 % interval of the median {about.low:.4g} to {about.high:.4g} ms"
        if about.low is not None and about.high is not None
        else "too few for an interval"
    )
    clock = f"; {max(said.frequencies_mhz):,.0f} MHz right after" if said.frequencies_mhz else ""
    return Measurement(
        quantity="latency",
        value=about.median,
        unit="ms",
        how="measured",
        artifact=task.path.name,
        runtime=f"{said.runtime} on {where}",
        device=device,
        count=about.count,
        p50=about.median,
        p90=about.p90,
        p99=about.p99,
        threads=1 if task.kind == "c" else request.threads_or_default,
        note=f"batch 1, {request.warmup} warm-up runs not counted; {between}{clock}",
    )


def _memory(report: Report, index: int, task: Task, request: Request, device: str, where: str) -> Measurement:
    said = report.answered[index]
    known = said.peak_bytes is not None and said.baseline_bytes is not None
    value = max(0, (said.peak_bytes or 0) - (said.baseline_bytes or 0)) if known else None
    note = "the board's kernel does not tell VmHWM"
    if known:
        note = f"VmHWM of a fresh process, beyond {said.baseline_bytes:,} bytes with the runtime alone"
        if task.kind == "c":
            note = "VmHWM of a process that holds nothing but the model"
    return Measurement(
        quantity="peak_memory",
        value=None if value is None else float(value),
        unit="bytes",
        how="measured" if known else "not run",
        artifact=task.path.name,
        runtime=f"{said.runtime} on {where}",
        device=device,
        count=1,
        threads=1 if task.kind == "c" else request.threads_or_default,
        note=note,
    )


def _energy(report: Report, index: int, task: Task, device: str, where: str) -> Measurement:
    from edgedistill.bench import ssh_energy

    value, count, note = ssh_energy.per_inference(report, index)
    return Measurement(
        quantity="energy",
        value=value,
        unit="mJ",
        how="not run" if value is None else "measured",
        artifact=task.path.name,
        runtime=f"{report.answered[index].runtime} on {where}",
        device=device,
        count=count,
        note=note,
    )


def _parity(report: Report, index: int, task: Task, device: str, where: str) -> Parity:
    expected = task.vectors.outputs
    system = report.system
    assert system is not None
    return compared(
        expected,
        report.outputs(index, expected),
        task.path,
        f"{report.answered[index].runtime} on {where}",
        "measured",
        f"{len(expected)} golden inputs, {device}, Python {system.python}",
        family=task.family,
    )


def _parity_not_run(task: Task, reason: str, where: str) -> Parity:
    return Parity(
        runtime=_runtime(task, where), artifact=task.path.name, family=task.family, how="not run", note=reason
    )


def _latency_not_run(task: Task, reason: str, device: str, where: str) -> Measurement:
    return Measurement(
        quantity="latency",
        value=None,
        unit="ms",
        how="not run",
        artifact=task.path.name,
        runtime=_runtime(task, where),
        device=device,
        note=reason,
    )


def _runtime(task: Task, where: str) -> str:
    return f"{ {'tflite': 'litert', 'onnx': 'onnxruntime', 'c': 'c'}[task.kind] } on {where}"
