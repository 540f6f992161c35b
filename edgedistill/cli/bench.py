"""The command ``bench``: measures a finished build on this machine, or on a board."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedistill.cli.output import Json, Quiet, console, print_json, print_table
from edgedistill.errors import InputError, ParityError

if TYPE_CHECKING:
    from edgedistill.bench.emulated import OnDevice
    from edgedistill.record import Measurement, Parity
    from edgedistill.target import Target

HERE = "here"
QEMU_SERIAL = "qemu-serial"
EMULATOR = "emulator"
QEMU_USER = "qemu-user"


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
            help="here; emulator: the target's, instructions and bytes; qemu-user: bytes alone, 64-bit Arm; "
            "a board, serial:PORT[@BAUD]; qemu-serial, an emulated one.",
        ),
    ] = HERE,
    runs: Annotated[
        int, typer.Option("--runs", min=1, help="Calls that are timed; a board, at least 5.")
    ] = 200,
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
    cpu: Annotated[
        str | None,
        typer.Option(
            "--cpu", metavar="NAME", help="Emulated 64-bit Arm, such as cortex-a76; not the target's."
        ),
    ] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Measures latency, memory and size on this machine, int8 beside float32; or a board's bytes and time."""
    from edgedistill import target as devices

    device = devices.load(target) if target else None
    if threads is None:
        threads = device.threads.value if device is not None and device.threads is not None else 1

    if on in (EMULATOR, QEMU_USER):
        _emulated(path, on, target, cpu, threads, cc, trust, quiet, json_)
        return
    if cpu is not None:
        raise InputError(
            "--cpu chooses an emulated processor", where="--cpu", fix=f"say --on {EMULATOR}, too"
        )
    if on != HERE:
        answered = _on_board(path, on, device, runs, warmup, cc, trust)
        _print(answered.measurements, (answered.parity,), quiet, json_)
        _hold(answered.parity, on)
        return

    from edgedistill.bench import emulated
    from edgedistill.bench.files import GRAPH, C, split
    from edgedistill.bench.measure import bench_dir, slower_than_float
    from edgedistill.ir import serial

    folder, _ = split(path)
    on_device = None
    if device is not None and device.default_runner == "cortex-m":  # first: it fails sooner
        on_device = emulated.bench_c(folder, device, cc=cc, trust=trust)
    found = bench_dir(path, runs=runs, warmup=warmup, threads=threads)
    if on_device is not None:
        found = (*found, *on_device.measurements)
    if device is not None and device.npu is not None and (folder / GRAPH).exists():
        from edgedistill.bench import npu

        found = (*found, *npu.on_npu(serial.load(folder / GRAPH), device))
    if not found:
        raise InputError(
            "C files alone are measured on a device",
            where=str(path),
            fix="name an emulated one (--target cortex-m4 --trust), or a board (--on serial:PORT)",
        )
    _print(found, (on_device.parity,) if on_device is not None else (), quiet, json_)
    if on_device is not None:
        _hold(on_device.parity, str(folder / C))
        return
    if quiet or json_:
        return
    graph = serial.load(folder / GRAPH) if (folder / GRAPH).exists() else None
    slower = slower_than_float(found, graph, threads)
    if slower:
        console().print(f"warning: {slower}", style="yellow", markup=False)
    if device is not None:
        words = f"measured on this machine; for figures of a {device.title}, run this there"
        console().print(words, style="dim", markup=False)


def _on_board(
    path: Path, on: str, device: Target | None, runs: int, warmup: int, cc: str, trust: bool
) -> OnDevice:
    """A board alone: nothing of this machine is measured beside it."""
    from edgedistill.bench import board
    from edgedistill.bench.files import split
    from edgedistill.runners.serial_board import SCHEME, parse_port

    folder, _ = split(path)
    if on.startswith(SCHEME):
        port, baud = parse_port(on.removeprefix(SCHEME))
        return board.on_board(folder, port, baud, device, runs=runs, warmup=warmup)
    if on != QEMU_SERIAL:
        names = ", ".join((HERE, EMULATOR, QEMU_USER, QEMU_SERIAL))
        fix = f"{names} or {SCHEME}PORT[@BAUD], such as {SCHEME}/dev/ttyACM0"
        raise InputError(f"nothing can be measured on {on!r}", where="--on", fix=fix)
    if device is None:
        fix = "name it with --target, such as --target cortex-m4"
        raise InputError("an emulator belongs to a target", where=f"--on {on}", fix=fix)
    return board.on_emulated_board(folder, device, runs=runs, warmup=warmup, cc=cc, trust=trust)


def _emulated(
    path: Path,
    on: str,
    target: str | None,
    cpu: str | None,
    threads: int,
    cc: str,
    trust: bool,
    quiet: bool,
    json_: bool,
) -> None:
    """The target's emulator alone: firmware of a microcontroller, or Linux on a 64-bit Arm."""
    from edgedistill import target as devices
    from edgedistill.bench import arm_linux, emulated
    from edgedistill.bench.files import C, split

    folder, _ = split(path)
    device = devices.load(target) if target else emulated.device_of(folder)
    if device is None:
        fix = "name it with --target, such as --target raspberry-pi-5"
        raise InputError("an emulator belongs to a target", where=f"--on {on}", fix=fix)
    if on == EMULATOR and device.default_runner == "cortex-m":
        if cpu is not None:
            fix = f"leave it out; {device.title} has its own emulator"
            raise InputError("--cpu chooses among 64-bit Arms", where="--cpu", fix=fix)
        firmware = emulated.bench_c(folder, device, cc=cc, trust=trust)
        _print(firmware.measurements, (firmware.parity,), quiet, json_)
        _hold(firmware.parity, str(folder / C))
        return
    found = arm_linux.bench(path, device, cpu=cpu, threads=threads, quick=on == QEMU_USER)
    _print(found.measurements, found.parity, quiet, json_)
    for parity in found.parity:
        if parity.broken:
            fix = "choose the runtime of a file that is identical, and report the difference"
            raise ParityError(parity.difference, where=str(folder / parity.artifact), fix=fix)


def _print(found: Sequence[Measurement], comparisons: Sequence[Parity], quiet: bool, json_: bool) -> None:
    """The rows, and what files answered on a device: a comparison for each file."""
    from edgedistill.report.people import figure, parity_words

    if json_:
        rows = [m.model_dump(mode="json") for m in found]
        print_json({"measurements": rows, "parity": [one.model_dump(mode="json") for one in comparisons]})
    elif not quiet:
        table = [(m.quantity, figure(m), m.artifact, m.runtime, m.how, m.note) for m in found]
        if table:
            print_table(("quantity", "value", "file", "runtime", "how", "note"), table)
        for one in comparisons:
            words = f"{parity_words(one)} (family {one.family}, {one.note})"
            console().print(f"{one.runtime}: {words}", markup=False)


def _hold(parity: Parity, where: str) -> None:
    """Other bytes than the interpreter's end the command, whatever was printed before.

    Raises:
        ParityError: a byte differs.
    """
    if parity.broken:
        again = "flash this build's C files" if parity.how == "measured" else "build again"
        fix = f"{again}; if it stays so, compile the C files with -DEDGE_PORTABLE"
        raise ParityError(parity.difference, where=where, fix=fix)
