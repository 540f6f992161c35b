"""Says before training what a model takes of flash: its C files are compiled untrained for the device's core.

Constants have the same sizes and kernels the same code whatever a network learns, so compiling is exact
up to the compiler's taste in constants. Measured against linked firmware: tests/sizing/test_flash.py.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.ir.graph import Graph
from edgedistill.runners import c_source, cortex_m
from edgedistill.runners.cortex_m import firmware
from edgedistill.target import Target


@dataclass(frozen=True)
class Flash:
    """What one model takes: weights, scales and tables; and the code of the kernels that it uses."""

    constant_bytes: int
    code_bytes: int
    compiler: str

    @property
    def total_bytes(self) -> int:
        return self.constant_bytes + self.code_bytes


def planned(graph: Graph, device: Target, cc: str = cortex_m.CC) -> Flash | None:
    """Of an int8 graph with any weights; None where no compiler for the device's core is here.

    Raises:
        InputError: the graph cannot be printed as C.
        GateError: the compiler does not take the files.
    """
    if device.cpu is None or cortex_m.missing(cc) is not None:
        return None
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        c.write(graph, Metadata("planned", "Before training.", graph.labels, 1.0, 0, "0"), folder)
        compiled = firmware.model_object(c_source.find(folder), device, folder, cc=cc)
        found = cortex_m.sections(compiled)
    return Flash(found.rodata + found.data, found.text, cortex_m.compiler_name(cc))
