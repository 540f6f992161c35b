"""Gives a package the student in C: the build's own folder c/, or the same made from its graph."""

from __future__ import annotations

from pathlib import Path

import edgedistill
from edgedistill import package
from edgedistill.bench.files import GRAPH, C
from edgedistill.data import frontend
from edgedistill.export import c as c_printer
from edgedistill.export.c import project
from edgedistill.export.metadata import Metadata
from edgedistill.ir import golden, serial
from edgedistill.ir.interpret import Family
from edgedistill.package.contract import Contract
from edgedistill.runners import c_source
from edgedistill.runners.c_source import CSource
from edgedistill.runners.cortex_m import board


def put(contract: Contract, folder: Path, out: Path, family: Family | None = None) -> CSource:
    """Fills ``out`` with the two C files of the student, their projects, self-test and board protocol.

    Args:
        contract: of the build.
        folder: of the build.
        out: is made.
        family: of the arithmetic; None: as the build has it, F where it has no C.

    Raises:
        InputError: the folder c/ is not as it was written, or the graph cannot be C.
    """
    if c_source.has_c(folder / C) and family in (None, c_source.find(folder / C).family):
        package.copy(folder / C, out, ".")
        return c_source.find(out)
    graph = serial.load(folder / GRAPH)
    vectors = golden.load(folder / contract.golden)
    out.mkdir(parents=True, exist_ok=True)
    meta = metadata(contract)
    c_printer.write(graph, meta, out, family or "F")
    project.write(graph, meta, vectors, out, family or "F")
    board.write(out)
    return c_source.find(out)


def metadata(contract: Contract) -> Metadata:
    """What the C files say of themselves."""
    return Metadata(
        name="edgedistill student",
        description=f"{contract.student}, int8",
        labels=contract.labels,
        input_scale=contract.input_quant.scale,
        input_zero_point=contract.input_quant.zero_point,
        version=contract.edgedistill_version or edgedistill.__version__,
        provenance={
            "recipe_sha256": contract.recipe_sha256,
            **({"front_end": frontend.describe()} if contract.is_sound else {}),
        },
    )
