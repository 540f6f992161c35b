"""Estimates what a student costs on a device's Ethos-U, and keeps the file that its runtime takes."""

from __future__ import annotations

from pathlib import Path

from edgedistill.errors import EdgeDistillError
from edgedistill.export import ethos_u
from edgedistill.export.metadata import Metadata
from edgedistill.ir.graph import Graph
from edgedistill.record import Measurement
from edgedistill.runners import vela
from edgedistill.runners.vela import Estimate
from edgedistill.target import Target
from edgedistill.units import format_hz

VELA = "student_vela.tflite"
UNITS = {  # quantity: unit, of each row
    "npu_cycles": "cycles",
    "estimated_latency": "ms",
    "ram_bytes": "bytes",
    "flash_bytes": "bytes",
    "cpu_operators": "operators",
}


def on_npu(
    graph: Graph, device: Target, meta: Metadata | None = None, keep: Path | None = None
) -> tuple[Measurement, ...]:
    """Cycles, time, memory and the operators left to the processor: modelled, or not run with the reason.

    Args:
        graph: int8.
        device: with the fact ``npu``.
        meta: what the file says of itself.
        keep: the folder that gets Vela's file, for the device's runtime.
    """
    reason = vela.reason_not_runnable()
    if reason is None:
        meta = meta or Metadata(graph.name, "", graph.labels, 1.0, 0, "0")
        try:
            found = vela.estimate(ethos_u.to_bytes(graph, meta), device)
        except EdgeDistillError as error:  # the file for the processor is good all the same
            reason = (
                f"{error.what} ({error.fix})" if error.fix else error.what
            )  # on one line, without folders
        else:
            if keep is not None:
                (keep / VELA).write_bytes(found.tflite)
            return rows(found, device)
    return tuple(_row(quantity, None, device, "vela", reason) for quantity in UNITS)


def rows(found: Estimate, device: Target) -> tuple[Measurement, ...]:
    """An estimate as a record holds it."""
    where = f"{found.accelerator}, {found.system_config}, {found.memory_mode}"
    left = ", ".join(map(str, found.on_cpu))
    beside = f"; without {len(found.on_cpu)} operators that the processor runs" if left else ""
    dram = f" and {found.dram_bytes:,} bytes of DRAM" if found.dram_bytes else ""
    words = {
        "npu_cycles": f"of one inference on {where}{beside}",
        "estimated_latency": f"cycles at {format_hz(found.clock_hz)}{beside}",
        "ram_bytes": f"SRAM{dram}, as Vela lays it out; the runtime's own memory comes on top",
        "flash_bytes": f"the file as it is stored; Vela reads {found.flash_bytes:,} bytes of it from flash, "
        "and the runtime comes on top",
        "cpu_operators": f"of {found.on_npu + len(found.on_cpu)}: {left or 'all run on the accelerator'}",
    }
    values = {
        "npu_cycles": float(found.cycles),
        "estimated_latency": found.latency_ms,
        "ram_bytes": float(found.sram_bytes + found.dram_bytes),
        "flash_bytes": float(len(found.tflite)),
        "cpu_operators": float(len(found.on_cpu)),
    }
    return tuple(_row(name, values[name], device, found.version, words[name]) for name in UNITS)


def _row(quantity: str, value: float | None, device: Target, runtime: str, note: str) -> Measurement:
    return Measurement(
        quantity=quantity,
        value=value,
        unit=UNITS[quantity],
        how="not run" if value is None else "modelled",
        artifact=VELA,
        runtime=runtime,
        device=device.title,
        note=note,
    )
