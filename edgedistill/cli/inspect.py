"""The command ``inspect``: the integer graph of a finished build, its operators, and its memory as a map."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedistill.cli.output import Json, Quiet, console, print_json
from edgedistill.errors import InputError

if TYPE_CHECKING:
    from edgedistill.record import BuildRecord


def inspect(
    path: Annotated[Path, typer.Argument(help="A build's folder, or its graph.npz.")],
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Prints the integer graph: operators, shapes, scales, memory, and what is exact by construction."""
    from dataclasses import asdict

    from edgedistill import record
    from edgedistill.bench.files import GRAPH, RECORD
    from edgedistill.export import EXPORTERS, c
    from edgedistill.ir import memory_map, plan, serial, verify
    from edgedistill.ir.text import text
    from edgedistill.report import flash, int16

    file = path / GRAPH if path.is_dir() else path
    if not file.exists():
        raise InputError("there is no graph here", where=str(file), fix="give the folder of a finished build")
    if file.suffix != ".npz":
        fix = f"give {file.parent / GRAPH}, from which every model of a build is printed"
        raise InputError(f"a graph is not read from {file.suffix or 'such'} files", where=str(file), fix=fix)
    graph = serial.load(file)
    as_c = EXPORTERS["c"].path(file.parent).is_dir()  # fused and in place, as the C files use it
    memory = c.arena(graph, as_c=as_c)
    built = record.load(file.parent / RECORD) if (file.parent / RECORD).exists() else None
    if json_:
        macs = plan.macs(graph)
        print_json(
            {
                "name": graph.name,
                "inputs": graph.inputs,
                "outputs": graph.outputs,
                "labels": graph.labels,
                "macs": sum(macs.values()),
                "parameters": plan.parameters(graph),
                "weight_bytes": plan.weight_bytes(graph),
                "arena_bytes": memory.peak,
                "arena_lower_bound_bytes": memory.lower_bound,
                "flash": _flash(built),
                "int16": [n for n in graph.activations() if graph.tensors[n].dtype == "int16"],
                "arena": [asdict(placement) for placement in memory.tensors],
                "ops": [
                    {"kind": op.kind, "name": op.name, "inputs": op.inputs, "outputs": op.outputs}
                    for op in graph.ops
                ],
                "inexact": [{"op": op, "why": why} for op, why in verify.inexact(graph)],
            }
        )
    elif not quiet:
        how = "as the C files use it" if as_c else "operator by operator"
        shown = f"{text(graph)}\n{memory_map.text(memory, how)}"
        console().print(shown, markup=False, soft_wrap=True)
        for sentence in int16.sentences(built) if built is not None else ():
            console().print(sentence, markup=False, soft_wrap=True)
        for sentence in flash.sentences(built) if built is not None else ():
            console().print(f"flash: {sentence}", markup=False, soft_wrap=True)


def _flash(built: BuildRecord | None) -> dict[str, object] | None:
    """Planned bytes, and those of the linked image (None: not linked); None: no C, or no record."""
    if built is None or built.graph.flash is None:
        return None
    from edgedistill.report import people

    linked = people.on_device(built, "flash_bytes")
    return {**built.graph.flash.model_dump(), "linked_bytes": linked}
