"""Holds a finished build against the limits of its budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgedistill.errors import GateError
from edgedistill.record import BuildRecord
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


def check(budget: Mapping[str, float], records: Sequence[BuildRecord]) -> Findings:
    """Every limit against every record.

    Latency and energy are this machine's, as the record says; a microcontroller's are the estimates
    of its firmware on the emulator.
    """
    missed, unknown = [], []
    for record in records:
        for name, limit in budget.items():
            value = _figure(record, name)
            if value is None:
                unknown.append(
                    f"{record.target}: no figure of {name} was measured, so its limit was not checked"
                )
            elif value < limit if name == "accuracy" else value > limit:
                word = "below" if name == "accuracy" else "above"
                missed.append(
                    f"{record.target}: {name} {amount(name, value)} is {word} {amount(name, limit)}"
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
