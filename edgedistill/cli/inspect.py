"""The command ``inspect``: the integer graph of a finished build, its operators, and its memory as a map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedistill import units
from edgedistill.cli.output import Json, Quiet, console, print_json, print_table
from edgedistill.errors import InputError

if TYPE_CHECKING:
    from edgedistill.ir.graph import Graph
    from edgedistill.record import BuildRecord
    from edgedistill.sized import Prediction
    from edgedistill.sizing.cost import Part


def inspect(
    path: Annotated[Path, typer.Argument(help="A build's folder, or its graph.npz.")],
    target: Annotated[
        str | None,
        typer.Option("--target", "-t", metavar="NAME", help="Predict what each operator takes on it."),
    ] = None,
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
    predicted = _predicted(graph, target) if target is not None else None
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
                "int16": graph.int16_activations(),
                "arena": [asdict(placement) for placement in memory.tensors],
                "ops": [
                    {"kind": op.kind, "name": op.name, "inputs": op.inputs, "outputs": op.outputs}
                    for op in graph.ops
                ],
                "inexact": [{"op": op, "why": why} for op, why in verify.inexact(graph)],
                **({"predicted": predicted.as_json()} if predicted is not None else {}),
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
        if predicted is not None:
            print_table(("operators", "kernel", "predicted", "of all"), predicted.rows())
            for prediction in predicted.whole:
                words = f"{prediction.quantity}: {prediction.words}, {prediction.source}"
                console().print(words, markup=False, soft_wrap=True)


@dataclass(frozen=True)
class _Predicted:
    """What an inference takes on a device, as a whole and step by step."""

    whole: tuple[Prediction, ...]
    parts: tuple[Part, ...]

    def rows(self) -> list[tuple[str, ...]]:
        total = sum(part.value for part in self.parts)
        as_words = units.format_ms if self.whole[0].unit == "ms" else units.format_count
        return [
            (
                " + ".join(part.ops) or "the call itself",
                part.kernel,
                as_words(part.value),
                f"{part.value / total:.1%}",
            )
            for part in self.parts
        ]

    def as_json(self) -> dict[str, object]:
        return {
            "whole": [p.model_dump(mode="json") for p in self.whole],
            "parts": [{"ops": p.ops, "kernel": p.kernel, "value": p.value} for p in self.parts],
        }


def _predicted(graph: Graph, name: str) -> _Predicted:
    from edgedistill import target as devices
    from edgedistill.sizing import cost

    device = devices.load(name)
    runtime = cost.runtime_of(device)
    whole = cost.predict(graph, device, runtime)
    if not whole:
        reason = cost.missing(device, "instructions", runtime)
        raise InputError(
            reason or f"the cost model of {device.title} does not know every operator of this graph",
            where=f"--target {name}",
            fix="see `edgedistill calibrate --help`",
        )
    return _Predicted(whole, cost.parts(graph, device, runtime))


def _flash(built: BuildRecord | None) -> dict[str, object] | None:
    """Planned bytes, and those of the linked image (None: not linked); None: no C, or no record."""
    if built is None or built.graph.flash is None:
        return None
    from edgedistill.report import people

    linked = people.on_device(built, "flash_bytes")
    return {**built.graph.flash.model_dump(), "linked_bytes": linked}
