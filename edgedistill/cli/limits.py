"""Holds a finished build against the limits of its budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from edgedistill.errors import GateError
from edgedistill.record import BuildRecord
from edgedistill.sized import Prediction
from edgedistill.sizing.budget import amount


@dataclass(frozen=True)
class Findings:
    """Limits that were missed, and limits that nothing could be held against, in words."""

    missed: tuple[str, ...]
    unknown: tuple[str, ...]

    def raise_if_missed(self) -> None:
        """Raises: GateError, when a limit was missed."""
        if self.missed:
            fix = "choose a smaller --student (`edgedistill list students`), more epochs, or another limit"
            raise GateError("; ".join(self.missed), where="budget", fix=fix)


def predictions(out: Path, names: Sequence[str]) -> dict[str, tuple[Prediction, ...]]:
    """What finished students will take, by the device's name, of devices that this machine is not like.

    Args:
        out: of a build.
        names: of its targets, or their files.
    """
    from edgedistill import target as targets
    from edgedistill.bench.files import GRAPH
    from edgedistill.ir import serial
    from edgedistill.sizing import cost, measure

    found = {}
    for device in map(targets.load, names):
        graph = out / device.name / GRAPH
        if device.default_runner == "local" and measure.other_machine(device) and graph.exists():
            found[device.name] = cost.predict(serial.load(graph), device, cost.runtime_of(device))
    return found


def check(
    budget: Mapping[str, float],
    records: Sequence[BuildRecord],
    predicted: Mapping[str, Sequence[Prediction]] = MappingProxyType({}),
) -> Findings:
    """Every limit against every record.

    Latency, energy and instructions of a device that is not like this machine are ``predicted``, and the
    upper end of the band counts; where nothing predicts latency or energy they are this machine's, as the
    record says. A microcontroller's are the estimates of its firmware on the emulator.
    """
    missed, unknown = [], []
    for record in records:
        ends = {row.quantity: row.high for row in predicted.get(record.target, ())}
        for name, limit in budget.items():
            value = ends.get(name) if name in ends else _figure(record, name)
            if value is None:
                unknown.append(
                    f"{record.target}: no figure of {name} was measured, so its limit was not checked"
                )
            elif value < limit if name == "accuracy" else value > limit:
                word = "below" if name == "accuracy" else "above"
                how = "predicted " if name in ends else ""
                missed.append(
                    f"{record.target}: {how}{name} {amount(name, value)} is {word} {amount(name, limit)}"
                )
    return Findings(tuple(missed), tuple(unknown))


def _figure(record: BuildRecord, name: str) -> float | None:
    on_device = {m.quantity: m.value for m in record.measurements if m.how in ("emulated", "modelled")}
    firmware = any(m.quantity in ("instructions", "npu_cycles") for m in record.measurements)  # run or not
    match name:
        case "accuracy":
            return record.accuracy.student_int8
        case "macs":
            return record.graph.macs
        case "weights":
            return record.graph.weight_bytes
        case "instructions":
            return on_device.get("instructions")
        case "ram":
            return on_device.get("ram_bytes", record.graph.arena_bytes)
        case "flash" | "latency" | "energy" if firmware:
            value = on_device.get("flash_bytes" if name == "flash" else f"estimated_{name}")
            return value / 1e3 if value is not None and name == "energy" else value  # µJ to mJ
        case "flash":
            sizes = [a.size_bytes for a in record.artifacts if a.format in ("onnx", "tflite", "coreml")]
            return max(sizes, default=None)
    values = [
        m.value
        for m in record.measurements
        if m.quantity == name and m.value is not None and "float32" not in m.artifact
    ]
    return min(values, default=None)
