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
            help="here, emulator, qemu-user, browser, serial:PORT, ssh:USER@HOST, adb and others: see "
            "`edgedistill list places`.",
        ),
    ] = "here",
    runs: Annotated[
        int | None,
        typer.Option(
            "--runs",
            min=1,
            help="Calls that are timed; a board, at least 5. Not given: as many as the median needs to be "
            "known to 2 %, 200 to 5,000 within 10 s; 200 where that is not possible.",
        ),
    ] = None,
    warmup: Annotated[int, typer.Option("--warmup", min=0, help="Calls before, not counted.")] = 20,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Of the runtime; 1 if not given.")
    ] = None,
    cc: Annotated[
        str, typer.Option("--cc", metavar="PROGRAM", help="Compiles firmware, or for a phone.")
    ] = "arm-none-eabi-gcc",
    trust: Annotated[
        bool, typer.Option("--trust", help="Compile and run the folder's C files: you know who wrote them.")
    ] = False,
    cpu: Annotated[
        str | None,
        typer.Option(
            "--cpu", metavar="NAME", help="Emulated 64-bit Arm, such as cortex-a76; not the target's."
        ),
    ] = None,
    benchmark_model: Annotated[
        Path | None,
        typer.Option(
            "--benchmark-model", metavar="FILE", help="LiteRT's benchmark_model for Android, run on a phone."
        ),
    ] = None,
    mix: Annotated[
        bool,
        typer.Option("--mix", help="Instructions, loads and stores function by function, with emulator."),
    ] = False,
    python: Annotated[
        str | None,
        typer.Option("--python", metavar="PATH", help="Python on the board with its runtimes; python3."),
    ] = None,
    ssh_config: Annotated[
        Path | None, typer.Option("--ssh-config", metavar="FILE", help="Of ssh, instead of ~/.ssh/config.")
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            "--compare",
            metavar="OLD",
            help="Another build or model: both run in mirrored turns here, and the ratio of latency (path to "
            "OLD; below 1, faster) is given with its interval.",
        ),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option("--history", metavar="FILE", help="Adds the figures to this SQLite file."),
    ] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="Shows the history of this build, and measures nothing.")
    ] = False,
    label: Annotated[
        str, typer.Option("--label", metavar="NAME", help="Names this run in the history.")
    ] = "",
    baseline: Annotated[
        str,
        typer.Option(
            "--baseline",
            metavar="NAME",
            help="Run that relative limits are held against; the last if not given.",
        ),
    ] = "",
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-if",
            metavar="LIMIT",
            help="Ends with exit code 1 past a limit, several may be given: latency>2ms, energy>3mJ, "
            "peak_memory>10MB, or against the history, latency>+5%: against the last run that broke no "
            "limit, same device, runtime, file and threads. Noise alone fails nothing: the low end of the "
            "95 % interval must be above the limit, or above the baseline's high end by more than the share.",
        ),
    ] = None,
    quiet: Quiet = False,
    json_: Json = False,
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
