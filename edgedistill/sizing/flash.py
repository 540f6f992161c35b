"""Says before training what a model takes of flash: its C files, untrained, are compiled and linked alone.

Constants have the same sizes and kernels the same code whatever a network learns, so this is exact up to
the compiler's taste in constants. Measured against linked firmware: tests/sizing/test_flash.py.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from edgedistill.export import c
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
    if not _is_cortex_m(device) or cortex_m.missing(cc) is not None:
        return None
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        c.write(graph, Metadata("planned", "", (), 1.0, 0, "0"), folder, family)
        return of_files(folder, graph, device, cc)


def of_files(folder: Path, graph: Graph, device: Target, cc: str = cortex_m.CC) -> PlannedFlash | None:
    """As ``planned``, of C files that were printed from the graph already."""
    if not _is_cortex_m(device) or cortex_m.missing(cc) is not None:
        return None
    with tempfile.TemporaryDirectory() as temporary:
        alone = Path(temporary) / "c"
        shutil.copytree(folder, alone)
        source = c_source.find(alone)
        without_values = _WEIGHTS.sub(r"\1{0}", source.source.read_text(encoding="utf-8"))  # read in no time
        source.source.write_text(without_values, encoding="utf-8")
        found = firmware.linked_alone(source, device, alone, cc=cc)
    weights = plan.network_bytes(graph)
    return PlannedFlash(
        code_bytes=found.text,
        weight_bytes=weights,
        table_bytes=found.rodata + found.data - weights,
        device=device.title,
        compiler=cortex_m.compiler_name(cc),
    )


def _is_cortex_m(device: Target) -> bool:
    return device.cpu is not None and device.cpu.value.startswith("cortex-m")
