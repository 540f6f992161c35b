"""The command ``compile``: the compiler alone, for an int8 network that somebody else made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from edgedistill.cli.output import Json, Quiet, console, print_json, print_parity, print_table, reporter
from edgedistill.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from edgedistill.compiler import Compiled
    from edgedistill.ir.interpret import Family
    from edgedistill.target import Target

_ON_REQUEST = ("coreml",)  # loading its library takes longer than everything else together


def compile_(
    model: Annotated[Path, typer.Argument(help="A full-integer .tflite, or an int8 QDQ or QLinear .onnx.")],
    target: Annotated[
        str | None,
        typer.Option("--target", "-t", metavar="NAME", help="Whose memory and formats count."),
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            "--formats",
            metavar="NAME[,NAME]",
            help="See `list exporters`. Default: the target's; without a target all but coreml.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Default: out/ and the model's name."),
    ] = None,
    inputs: Annotated[int, typer.Option("--inputs", min=1, max=100_000, help="Random golden inputs.")] = 16,
    family: Annotated[
        str,
        typer.Option(
            "--family",
            metavar="F|D",
            help="Arithmetic of the C files: F as CPU runtimes have it, D as TensorFlow Lite Micro.",
        ),
    ] = "F",
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Compiles an int8 network made elsewhere: prints it, plans its memory, proves every runtime."""
    from edgedistill import target as devices

    device = devices.load(target) if target else None
    formats = _formats(format_, device)
    arithmetic = _family(family)
    out = out if out is not None else Path("out") / model.stem

    from edgedistill.compiler import compile_model

    voice = reporter(quiet=quiet, as_json=json_)
    try:
        done = compile_model(
            model, out, formats, target=device, inputs=inputs, family=arithmetic, reporter=voice
        )
    finally:
        voice.close()
    if json_:
        print_json(done.record.model_dump(mode="json"))
    elif not quiet:
        _show(done)
    done.raise_if_broken()


def _formats(text: str | None, device: Target | None) -> tuple[str, ...]:
    from edgedistill.export import EXPORTERS, exporter_for

    if text is None:
        wanted: tuple[str, ...] = device.formats.value if device is not None else ()
        return wanted or tuple(name for name in EXPORTERS if name not in _ON_REQUEST)
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise InputError("no format is named", where="--format", fix="for example --format onnx,tflite")
    for name in names:
        exporter_for(name)
    return names


def _family(text: str) -> Family:
    from typing import get_args

    from edgedistill.ir.interpret import Family

    for name in get_args(Family):
        if name == text.upper():
            return cast("Family", name)
    raise UnknownNameError("family of arithmetic", text, get_args(Family), where="--family")


def _show(done: Compiled) -> None:
    from edgedistill import units
    from edgedistill.ir import plan
    from edgedistill.report import flash
    from edgedistill.report.people import figure

    graph, to = done.record.graph, console()
    fullest = plan.fullest(done.graph)
    rows = [
        ("operators", f"{graph.ops}"),
        ("multiply-accumulates", f"{graph.macs:,}"),
        ("weights and tables", f"{graph.weight_bytes:,} bytes ({units.format_bytes(graph.weight_bytes)})"),
        ("arena", f"{graph.arena_bytes:,} bytes; no plan is below {graph.arena_lower_bound_bytes or 0:,}"),
        ("fullest at", fullest),
        *(("flash", text) for text in flash.sentences(done.record)),
        *((f"{m.quantity}, {m.how}", f"{figure(m)}; {m.note}") for m in done.record.measurements),
        *((artifact.path, f"{artifact.size_bytes:,} bytes") for artifact in done.record.artifacts),
    ]
    print_table((done.graph.name, ""), rows)
    if graph.exact_by_construction:
        to.print("every operator is exact by construction: the same bits in every runtime")
    else:
        exact = graph.ops - len({text.split(": ")[0] for text in graph.inexact_ops})
        to.print(f"{exact} of {graph.ops} operators are exact by construction; these are not:")
        for text in graph.inexact_ops:
            to.print(f"  {text}", markup=False, soft_wrap=True)
    print_parity(done.record.parity)
    to.print(
        f"{done.out} holds the files; `edgedistill verify {done.out}` proves them again",
        markup=False,
        soft_wrap=True,
    )
