"""Turns what a board said into rows: figures with their spread, comparisons, and words on heat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgedistill.bench import emulated, ssh_energy, statistics
from edgedistill.bench.compare import compared
from edgedistill.bench.on_board.facts import throttling_words
from edgedistill.bench.places import Found, Request
from edgedistill.bench.ssh_job import Missing, Report, State, System, Task
from edgedistill.record import Measurement, Parity

REMEDY = "choose the runtime of a file that is identical, and report the difference"
_PERFORMANCE = "performance"  # the governor that keeps the clock up
_RUNTIMES = {"tflite": "litert", "onnx": "onnxruntime", "c": "c"}  # where the board has none


def found(report: Report, tasks: Sequence[Task], untrusted: bool, request: Request) -> Found:
    """All rows of a report that is complete; ``untrusted``: there are C files that were left alone."""
    assert report.system is not None and len(report.states) == 2
    rows = [_Rows(report, index, task, request) for index, task in enumerate(tasks)]
    parity = [row.parity() for row in rows if not row.task.is_float]
    if untrusted:
        parity.append(emulated.not_trusted())
    before, after = report.states
    return Found(
        tuple(measurement for row in rows for measurement in row.measurements()),
        tuple(parity),
        warnings=tuple(warnings(before, after)),
        notes=(f"{device_words(report.system)}, Python {report.system.python}", heat_words(before, after)),
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
        parts.append("throttling not told (no vcgencmd that answers)")
    else:
        parts.append(", ".join(throttling_words(after.throttled)) or "never throttled since it started")
    return "; ".join(parts)


def warnings(before: State, after: State) -> Iterator[str]:
    """What makes the times worse than the board's best."""
    bits = after.throttled or 0
    new = bits & ~(before.throttled or 0)
    if bits & 0xF or new:
        yield (
            "the board was held back while it was measured: "
            f"{', '.join(throttling_words(bits & 0xF | new))}; use a stronger power supply or a cooler"
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


@dataclass(frozen=True)
class _Rows:
    """Of one model."""

    report: Report
    index: int
    task: Task
    request: Request

    @property
    def missing(self) -> str | None:
        """Why it did not run: the board has no runtime for it."""
        said = self.report.failed.get(self.index)
        return said.reason if isinstance(said, Missing) else None

    def measurements(self) -> Iterator[Measurement]:
        if self.missing is not None:
            yield self._row("latency", None, "ms", 0, self.missing)
            return
        yield self._latency()
        yield self._memory()
        if not self.task.is_float:
            found = ssh_energy.per_inference(self.report, self.index)
            row = self._row("energy", found.value, "mJ", found.count, found.note)
            yield row.model_copy(update={"low": found.low, "high": found.high})

    def parity(self) -> Parity:
        path, family = self.task.path, self.task.family
        if self.missing is not None:
            return Parity(
                runtime=self._runtime(), artifact=path.name, family=family, how="not run", note=self.missing
            )
        expected, system = self.task.vectors.outputs, self.report.system
        assert system is not None
        words = f"{len(expected)} golden inputs, {device_words(system)}, Python {system.python}"
        got = self.report.outputs(self.index, expected)
        return compared(expected, got, path, self._runtime(), "measured", words, family=family)

    def _latency(self) -> Measurement:
        said = self.report.answered[self.index]
        about = statistics.summary(said.times_ms)
        clock = f"; {max(said.frequencies_mhz):,.0f} MHz right after" if said.frequencies_mhz else ""
        note = f"batch 1, {self.request.warmup} warm-up runs not counted{clock}"
        row = self._row("latency", about.median, "ms", about.count, note)
        shape = {
            "p50": about.median,
            "p90": about.p90,
            "p99": about.p99,
            "low": about.low,
            "high": about.high,
        }
        return row.model_copy(update={**shape, "isolation": heat_words(*self.report.states)})

    def _memory(self) -> Measurement:
        said = self.report.answered[self.index]
        if said.peak_bytes is None or said.baseline_bytes is None:
            return self._row("peak_memory", None, "bytes", 0, "the board's kernel does not tell VmHWM")
        note = f"VmHWM of a fresh process, beyond {said.baseline_bytes:,} bytes with the runtime alone"
        if self.task.kind == "c":
            note = "VmHWM of a process that holds nothing but the model"
        return self._row("peak_memory", max(0, said.peak_bytes - said.baseline_bytes), "bytes", 1, note)

    def _row(self, quantity: str, value: float | None, unit: str, count: int, note: str) -> Measurement:
        assert self.report.system is not None
        return Measurement(
            quantity=quantity,
            value=value,
            unit=unit,
            how="not run" if value is None else "measured",
            artifact=self.task.path.name,
            runtime=self._runtime(),
            device=device_words(self.report.system),
            count=count,
            threads=1 if self.task.kind == "c" else self.request.threads_or_default,
            note=note,
        )

    def _runtime(self) -> str:
        said = self.report.answered.get(self.index)
        name = said.runtime if said is not None else _RUNTIMES[self.task.kind]
        return f"{name} on {self.report.where}"
