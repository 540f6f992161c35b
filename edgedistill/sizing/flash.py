"""Says before training what a model takes of flash: its C files, untrained, are compiled and linked alone.

Constants have the same sizes and kernels the same code whatever a network learns, so this is exact up to
the compiler's taste in constants. Measured against linked firmware: tests/sizing/test_flash.py.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path

from edgedistill.export import c
from edgedistill.export.c import Model
from edgedistill.export.metadata import Metadata
from edgedistill.ir import plan
from edgedistill.ir.graph import Graph
from edgedistill.ir.interpret import Family
from edgedistill.record import PlannedFlash
from edgedistill.runners import c_source, cortex_m
from edgedistill.runners.cortex_m import firmware
from edgedistill.target import Target

_WEIGHTS = re.compile(r"(static const int8_t \w+\[\d+\] EDGE_ALIGNED = )\{[^}]*\}")


def planned(graph: Graph, device: Target, cc: str = cortex_m.CC, family: Family = "F") -> PlannedFlash | None:
    """Of an int8 graph with any weights; None where no compiler for the device's core is here.

    Names of classes are not counted: the linker keeps them only if the application prints them.

    Raises:
        InputError: the graph cannot be printed as C.
        GateError: the compiler does not take the files.
    """
    if not _compiles(device, cc):
        return None
    return of_printed(c.to_text(graph, Metadata("planned", "", (), 1.0, 0, "0"), family), graph, device, cc)


def of_printed(printed: Model, graph: Graph, device: Target, cc: str = cortex_m.CC) -> PlannedFlash | None:
    """As ``planned``, of C that was printed from the graph already."""
    if not _compiles(device, cc):
        return None
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        without_values = _WEIGHTS.sub(r"\1{0}", printed.source)  # read in no time
        c.save(replace(printed, source=without_values), folder)
        found = firmware.linked_alone(c_source.find(folder), device, folder, cc=cc)
    weights = plan.network_bytes(graph)
    return PlannedFlash(
        code_bytes=found.text,
        weight_bytes=weights,
        table_bytes=found.rodata + found.data - weights,
        device=device.title,
        compiler=cortex_m.compiler_name(cc),
    )


def _compiles(device: Target, cc: str) -> bool:
    is_cortex_m = device.cpu is not None and device.cpu.value.startswith("cortex-m")
    return is_cortex_m and cortex_m.missing(cc) is None
