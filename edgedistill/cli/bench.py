"""The command ``bench``: measures a finished build on this machine, or elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedistill.cli.output import Json, Quiet, console, print_functions, print_json, print_table
from edgedistill.errors import ParityError

if TYPE_CHECKING:
    from edgedistill.bench.places import Found, Request
    from edgedistill.record import Parity
    from edgedistill.runners.cortex_m.mix import Mix

_TIMING = "Timing"
_ELSEWHERE = "Emulators, boards and phones"
_HISTORY = "History and limits"


def bench(
    path: Annotated[Path, typer.Argument(help="A build's folder, or one model with golden.npz beside it.")],
    target: Annotated[
        str | None,
        typer.Option(
            "--target", "-t", metavar="NAME", help="Its number of threads; a microcontroller's emulator."
        ),
    ] = None,
    on: Annotated[
        str,
        typer.Option(
            "--on",
            metavar="WHERE",
            help="here, emulator, qemu-user, qemu-serial, browser[:PROGRAM], serial:PORT\\[@BAUD], "
            "ssh:USER@HOST[:PORT] or adb[:SERIAL]: see `list places`.",
        ),
    ] = "here",
    trust: Annotated[
        bool, typer.Option("--trust", help="Compile and run the folder's C files: you know who wrote them.")
    ] = False,
    quiet: Quiet = False,
    json_: Json = False,
    runs: Annotated[
        int | None,
        typer.Option(
            "--runs",
            min=1,
            help="Calls that are timed; a board, at least 5. Not given: 200 to 5,000, until the median is "
            "known to 2 %, within 10 s; 200 where that is not possible.",
            rich_help_panel=_TIMING,
        ),
    ] = None,
    warmup: Annotated[
        int, typer.Option("--warmup", min=0, help="Calls before, not counted.", rich_help_panel=_TIMING)
    ] = 20,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            min=1,
            help="Of the runtime; if not given the target's, or 1.",
            rich_help_panel=_TIMING,
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            "--compare",
            metavar="OLD",
            help="Another build or model, in mirrored turns here; below 1, path is faster than OLD.",
            rich_help_panel=_TIMING,
        ),
    ] = None,
    mix: Annotated[
        bool,
        typer.Option(
            "--mix",
            help="With emulator: instructions, loads and stores by function.",
            rich_help_panel=_ELSEWHERE,
        ),
    ] = False,
    cpu: Annotated[
        str | None,
        typer.Option(
            "--cpu",
            metavar="NAME",
            help="Emulated 64-bit Arm, such as cortex-a76; not the target's.",
            rich_help_panel=_ELSEWHERE,
        ),
    ] = None,
    cc: Annotated[
        str,
        typer.Option(
            "--cc",
            metavar="PROGRAM",
            help="Compiles firmware, or for a phone.",
            rich_help_panel=_ELSEWHERE,
        ),
    ] = "arm-none-eabi-gcc",
    python: Annotated[
        str | None,
        typer.Option(
            "--python",
            metavar="PATH",
            help="With ssh: Python with the runtimes there; python3.",
            rich_help_panel=_ELSEWHERE,
        ),
    ] = None,
    ssh_config: Annotated[
        Path | None,
        typer.Option(
            "--ssh-config",
            metavar="FILE",
            help="With ssh: instead of ~/.ssh/config.",
            rich_help_panel=_ELSEWHERE,
        ),
    ] = None,
    benchmark_model: Annotated[
        Path | None,
        typer.Option(
            "--benchmark-model",
            metavar="FILE",
            help="With adb: LiteRT's benchmark_model for Android.",
            rich_help_panel=_ELSEWHERE,
        ),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(
            "--history",
            metavar="FILE",
            help="Adds the figures to this SQLite file.",
            rich_help_panel=_HISTORY,
        ),
    ] = None,
    listing: Annotated[
        bool,
        typer.Option(
            "--list",
            help="Shows this build's history, and measures nothing.",
            rich_help_panel=_HISTORY,
        ),
    ] = False,
    label: Annotated[
        str,
        typer.Option(
            "--label", metavar="NAME", help="Names this run in the history.", rich_help_panel=_HISTORY
        ),
    ] = "",
    baseline: Annotated[
        str,
        typer.Option(
            "--baseline",
            metavar="NAME",
            help="Run that relative limits are held against; the last that broke none if not given.",
            rich_help_panel=_HISTORY,
        ),
    ] = "",
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-if",
            metavar="LIMIT",
            help="Exit code 1 past it, as latency>2ms, or against the history latency>+5%: where the whole "
            "95 % interval is past. Several may be given.",
            rich_help_panel=_HISTORY,
        ),
    ] = None,
) -> None:
    """Measures latency, memory and size on this machine, int8 beside float32; or a board's bytes and time."""
    from edgedistill import target as devices
    from edgedistill.bench import places
    from edgedistill.cli import trend

    held = trend.parsed(history, label, baseline, fail_if or (), listing=listing)
    build = path.resolve().name if path.is_dir() else path.resolve().parent.name
    if listing and history is not None:
        trend.show(history, build, label, json_=json_)
        return
    request = places.Request(
        path=path,
        on=on,
        device=devices.load(target) if target else None,
        runs=200 if runs is None else runs,
        adaptive=runs is None,
        warmup=warmup,
        threads=threads,
        cpu=cpu,
        cc=cc,
        trust=trust,
        benchmark_model=benchmark_model,
        mix=mix,
        python=python,
        ssh_config=ssh_config,
    )
    if compare is not None:
        from edgedistill.bench.versus import versus

        found = versus(request, compare)
    else:
        found = places.bench(request)
    sound = not any(parity.broken for parity in found.parity)
    _print(found, quiet, json_, found.mix if mix else None)
    verdicts = held.judged(build, found.measurements, sound=sound)
    if not (quiet or json_):
        trend.say(verdicts)
    for parity in found.parity:
        if parity.broken:  # whatever was printed before
            raise ParityError(parity.difference, where=_where(request, parity), fix=found.remedy)
    trend.enforce(verdicts)


def _where(request: Request, parity: Parity) -> str:
    """The file that answered other bytes; on a board it is not this machine's."""
    from edgedistill.bench.files import split

    if parity.how == "measured":
        return request.on
    return str(split(request.path)[0] / parity.artifact)


def _print(found: Found, quiet: bool, json_: bool, mix: Mix | None) -> None:
    """The rows, and what files answered on a device: a comparison for each file."""
    from edgedistill.report.people import figure, interval, parity_words

    if json_:
        rows = [m.model_dump(mode="json") for m in found.measurements]
        functions = {} if mix is None else {"functions": [f.as_dict() for f in mix.functions]}
        parity = [one.model_dump(mode="json") for one in found.parity]
        print_json({"measurements": rows, "parity": parity, **functions})
    elif not quiet:
        table = [
            (m.quantity, figure(m), interval(m), m.artifact, m.runtime, m.how, m.note)
            for m in found.measurements
        ]
        if table:
            print_table(("quantity", "value", "95 %", "file", "runtime", "how", "note"), table)
        if mix is not None:
            print_functions(mix)
        for one in found.parity:
            words = f"{parity_words(one)} (family {one.family}, {one.note})"
            console().print(f"{one.runtime}: {words}", markup=False)
        for around in dict.fromkeys(m.isolation for m in found.measurements if m.isolation):
            console().print(f"measured with {around}", style="dim", markup=False)
        for warning in found.warnings:
            console().print(f"warning: {warning}", style="yellow", markup=False)
        for note in found.notes:
            console().print(note, style="dim", markup=False)
