"""The command ``bench``: measures a finished build on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgedistill.cli.output import Json, Quiet, console, print_json, print_table


def bench(
    path: Annotated[Path, typer.Argument(help="A build's folder, or one model with golden.npz beside it.")],
    target: Annotated[
        str | None,
        typer.Option(
            "--target", "-t", metavar="NAME", help="Its number of threads; a microcontroller's emulator."
        ),
    ] = None,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Calls that are timed.")] = 200,
    warmup: Annotated[int, typer.Option("--warmup", min=0, help="Calls before, not counted.")] = 20,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Of the runtime; 1 if not given.")
    ] = None,
    cc: Annotated[
        str, typer.Option("--cc", metavar="PROGRAM", help="GCC that compiles firmware.")
    ] = "arm-none-eabi-gcc",
    trust: Annotated[
        bool, typer.Option("--trust", help="Compile and run the folder's C files: you know who wrote them.")
    ] = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Measures latency, memory and size on this machine, int8 beside float32."""
    from edgedistill import target as devices

    device = devices.load(target) if target else None
    if threads is None:
        threads = device.threads.value if device is not None and device.threads is not None else 1

    from edgedistill.bench import emulated
    from edgedistill.bench.files import GRAPH, split
    from edgedistill.bench.measure import bench_dir, slower_than_float
    from edgedistill.ir import serial
    from edgedistill.report.people import figure, parity_words

    folder, _ = split(path)
    on_device = None
    if device is not None and device.default_runner == "cortex-m":  # first: it fails sooner
        on_device = emulated.bench_c(folder, device, cc=cc, trust=trust)
    found = bench_dir(path, runs=runs, warmup=warmup, threads=threads)
    if on_device is not None:
        found = (*found, *on_device.measurements)
    if json_:
        print_json([m.model_dump(mode="json") for m in found])
        return
    if quiet:
        return
    rows = [(m.quantity, figure(m), m.artifact, m.runtime, m.how, m.note) for m in found]
    print_table(("quantity", "value", "file", "runtime", "how", "note"), rows)
    graph = serial.load(folder / GRAPH) if (folder / GRAPH).exists() else None
    slower = slower_than_float(found, graph, threads) if on_device is None else None
    if slower:
        console().print(f"warning: {slower}", style="yellow", markup=False)
    if on_device is not None:
        words = f"{on_device.parity.runtime}: {parity_words(on_device.parity)} ({on_device.parity.note})"
        console().print(words, markup=False)
    elif device is not None:
        words = f"measured on this machine; for figures of a {device.title}, run this there"
        console().print(words, style="dim", markup=False)
