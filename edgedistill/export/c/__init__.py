"""C: the graph printed for microcontrollers, as one header and one source that need no library.

The program computes the interpreter's family F (or D) to the bit, with a float unit or without,
with the DSP instructions of Cortex-M or without. Only the kernels that a model uses are in it.
"""

from __future__ import annotations

from pathlib import Path

from edgedistill.errors import InputError, writing
from edgedistill.export.c.model import Model, check, memory, model
from edgedistill.export.metadata import Metadata
from edgedistill.ir import plan
from edgedistill.ir.graph import Graph
from edgedistill.ir.interpret import Family

__all__ = ["Model", "arena", "check", "memory", "model", "save", "to_text", "write"]


def arena(graph: Graph, *, as_c: bool) -> plan.ArenaPlan:
    """The memory of an int8 graph's activations: as the C files use it, or operator by operator."""
    return memory(graph) if as_c else plan.arena(graph)


def to_text(graph: Graph, meta: Metadata, family: Family = "F") -> Model:
    """Both files' text; equal graphs and metadata give equal texts.

    Family D has the bits of TensorFlow Lite Micro (see ir/numerics.py), and uses no float unit.

    Raises:
        InputError: the graph is float, or has several inputs or outputs.
        UnsupportedOpError: an operator that C lacks, or scales or sums that it cannot compute with.
    """
    if not graph.is_integer:
        raise InputError(
            "the C program computes in int8, and this graph is float32",
            where=graph.name,
            fix="quantise it first, or choose another format",
        )
    if (len(graph.inputs), len(graph.outputs)) != (1, 1):
        raise InputError(
            "the C program has one input and one output, "
            f"this graph {len(graph.inputs)} and {len(graph.outputs)}",
            where=graph.name,
            fix="split the network, or choose another format",
        )
    return model(graph, meta, family)


def write(graph: Graph, meta: Metadata, path: Path, family: Family = "F") -> None:
    """Writes ``edgedistill_<name>.h`` and ``.c`` into the folder ``path``.

    Raises:
        InputError: see ``to_text``.
        OutputError: the files cannot be written.
    """
    save(to_text(graph, meta, family), path)


def save(printed: Model, path: Path) -> None:
    """Writes both files' text into the folder ``path``.

    Raises:
        OutputError: the files cannot be written.
    """
    with writing("the C files", path):
        path.mkdir(parents=True, exist_ok=True)
        (path / f"{printed.name}.h").write_text(printed.header, encoding="utf-8")
        (path / f"{printed.name}.c").write_text(printed.source, encoding="utf-8")
