"""Proves and times a build's C files on a board, or on an emulated one, over its serial line."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.bench.emulated import REMEDY, OnDevice, c_vectors, family_of, proof, untrusted
from edgedistill.bench.files import C, split
from edgedistill.bench.places import Found, Request
from edgedistill.errors import GateError, InputError
from edgedistill.ir import golden
from edgedistill.ir.interpret import Family
from edgedistill.record import How, Measurement
from edgedistill.runners import cortex_m
from edgedistill.runners.cortex_m import board as firmware
from edgedistill.runners.cortex_m.machines import ICOUNT_SHIFT
from edgedistill.runners.serial_board import About, SerialBoard, parse_port
from edgedistill.target import Target

WINDOWS = 5  # that inferences are timed in; MLPerf Tiny takes the median of five
_MARGIN = 3  # times the expected seconds, before a board is given up
_NS_PER_US = 1_000


@dataclass(frozen=True, eq=False)
class Answers:
    """``outputs`` int8 [N, bytes] of the golden inputs; ``windows_us``: of ``per_window`` inferences each."""

    about: About
    outputs: NDArray[np.int8]
    windows_us: tuple[int, ...]
    per_window: int


def at_port(request: Request) -> Found:
    """``on_board`` at the port of an address ``PORT[@BAUD]``.

    Raises:
        InputError, GateError: as ``on_board``, or the address is none.
    """
    port, baud = parse_port(request.address)
    folder, _ = split(request.path)
    found = on_board(folder, port, baud, request.device, runs=request.runs, warmup=request.warmup)
    again = "flash this build's C files; if it stays so, compile the C files with -DEDGE_PORTABLE"
    return Found(found.measurements, (found.parity,), remedy=again)


def emulated(request: Request) -> Found:
    """``on_emulated_board`` of the target that was named.

    Raises:
        InputError, GateError: as ``on_emulated_board``, or no target was named.
    """
    device = request.needs_device("cortex-m4")
    folder, _ = split(request.path)
    found = on_emulated_board(
        folder, device, runs=request.runs, warmup=request.warmup, cc=request.cc, trust=request.trust
    )
    return Found(found.measurements, (found.parity,), remedy=REMEDY)


def on_board(
    folder: Path, port: str, baud: int, device: Target | None = None, *, runs: int, warmup: int
) -> OnDevice:
    """The board at a serial port, against the folder's golden vectors.

    Args:
        folder: of a build.
        port: as the system names it.
        baud: the line's rate.
        device: what the board is, for the rows' words.
        runs: inferences that are timed, in five windows.
        warmup: inferences before, not counted.

    Raises:
        InputError: there is no such port, or the board has another model.
        GateError: it does not answer, or not by the protocol.
    """
    runtime = f"c on serial:{port}"
    vectors = c_vectors(folder)
    found = _drive(port, baud, vectors, runs=runs, warmup=warmup)
    rows = _latency(found, runtime, device, warmup)
    return _rows(found, vectors, runtime, "measured", device, rows, family_of(folder))


def on_emulated_board(
    folder: Path,
    device: Target,
    *,
    runs: int,
    warmup: int,
    cc: str = cortex_m.CC,
    trust: bool = False,
) -> OnDevice:
    """The same program on a device's emulator, over the emulator's serial line.

    Raises:
        InputError: there is no emulator or compiler, no model in C, or no ``trust``; the model does not fit.
        GateError: compiler or emulator fail, or as ``on_board``.
    """
    reason = cortex_m.reason_not_runnable(device, cc)
    if reason is not None:
        raise InputError(reason, where=f"target {device.name}", fix="see `edgedistill doctor`")
    if not trust:
        raise untrusted(folder / C)
    assert device.emulator is not None
    machine = device.emulator.value
    runtime = f"c on serial line of {machine}"
    vectors = c_vectors(folder)
    with tempfile.TemporaryDirectory() as temporary:
        elf = firmware.image(folder / C, device, Path(temporary), cc=cc)
        with firmware.running(elf, machine) as port:
            found = _drive(port, None, vectors, runs=runs, warmup=warmup)
    rows = _instructions(found, runtime, device)
    return _rows(found, vectors, runtime, "emulated", device, rows, family_of(folder))


def _drive(port: str, baud: int | None, vectors: golden.Golden, *, runs: int, warmup: int) -> Answers:
    with SerialBoard(port) if baud is None else SerialBoard(port, baud) as line:
        about = line.about()
        count = len(vectors.inputs)
        sizes = (vectors.inputs.nbytes // count, vectors.outputs.nbytes // count)
        if sizes != (about.input_bytes, about.output_bytes):
            raise InputError(
                f"the board has another model ({about.model}): {about.input_bytes:,} bytes in and "
                f"{about.output_bytes:,} out, this build's {sizes[0]:,} and {sizes[1]:,}",
                where=port,
                fix="flash the program in c/board/ with this build's C files",
            )
        outputs, each_s = [], 0.0
        for x, expected in zip(vectors.inputs, vectors.outputs, strict=True):
            line.load(x, about)
            started = time.monotonic()  # the board's own clock may stand still
            line.infer()
            each_s = max(each_s, time.monotonic() - started)
            outputs.append(line.outputs(about))
            if outputs[-1].tobytes() != expected.tobytes() and not line.has(x, about):
                raise GateError(
                    "the serial line altered bytes of an input on their way to the board",
                    where=port,
                    fix="use a lower baud rate or another cable",
                )
        per_window = max(1, runs // WINDOWS)
        seconds = 10 + _MARGIN * (warmup + per_window) * each_s
        windows = tuple(
            line.infer(per_window, warmup if i == 0 else 0, seconds=seconds) for i in range(WINDOWS)
        )
    return Answers(about, np.array(outputs), windows, per_window)


def _rows(
    found: Answers,
    vectors: golden.Golden,
    runtime: str,
    how: How,
    device: Target | None,
    measurements: Iterator[Measurement],
    family: Family,
) -> OnDevice:
    words = f"{_device(found, device)}, model {found.about.model}"
    parity = proof(runtime, how, vectors.inputs, vectors.outputs, found.outputs, words, family)
    return OnDevice(parity, tuple(measurements))


def _latency(found: Answers, runtime: str, device: Target | None, warmup: int) -> Iterator[Measurement]:
    each_ms = np.array(found.windows_us, np.float64) / found.per_window / 1e3
    stands = max(found.windows_us) == 0
    middle = float(np.median(each_ms))
    spread = f"{each_ms.min():.4g} to {each_ms.max():.4g} ms"
    yield Measurement(
        quantity="latency",
        value=None if stands else middle,
        unit="ms",
        how="not run" if stands else "measured",
        artifact=C,
        runtime=runtime,
        device=_device(found, device),
        count=WINDOWS * found.per_window,
        p50=None if stands else middle,
        note="the board's clock does not advance: see edgedistill_board_microseconds"
        if stands
        else f"the board's clock, median of {WINDOWS} windows of {found.per_window}, {spread}, "
        f"{warmup} warm-up runs not counted",
    )


def _instructions(found: Answers, runtime: str, device: Target) -> Iterator[Measurement]:
    """The emulator's clock counts instructions; as time it would mislead."""
    each = np.array(found.windows_us, np.float64) * _NS_PER_US / 2**ICOUNT_SHIFT / found.per_window
    yield Measurement(
        quantity="instructions",
        value=float(round(each.max())),
        unit="instructions",
        how="emulated",
        artifact=C,
        runtime=runtime,
        device=_device(found, device),
        count=WINDOWS * found.per_window,
        p50=float(np.median(each)),
        note=f"from the program's own clock, the most of {WINDOWS} windows of {found.per_window}",
    )


def _device(found: Answers, device: Target | None) -> str:
    title = device.title if device is not None else "a board"
    return title if found.about.name == "unspecified" else f"{title} ({found.about.name})"
