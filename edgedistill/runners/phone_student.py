"""Compiles a model in C for a 64-bit Arm phone, and runs and times it there."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import GateError, InputError
from edgedistill.runners import aarch64, c_program, programs
from edgedistill.runners.adb import Phone
from edgedistill.runners.battery import Load, Work

NDK = "ANDROID_NDK_HOME"  # as Android's own build tools name it
_API = 24  # Android 7; what the program calls is older
PROGRAM = "student"
KEPT = 20_000  # times that are printed at most
LEAST_MS = 500  # that inferences are timed, beside the wanted number of them
MOST_S = 120  # of one run on the phone


@dataclass(frozen=True, eq=False)
class Ran:
    """``times_us`` [runs] of single inferences; ``peak_bytes`` None: the kernel does not say."""

    outputs: NDArray[np.int8]  # [N, bytes] of the inputs
    times_us: NDArray[np.float64]
    before_bytes: int | None  # the peak before the first inference
    peak_bytes: int | None  # after the last input


def compiler(named: str | None = None) -> tuple[str, ...] | str:
    """The compiler and its way of linking; or, in words, why there is none.

    The user's own comes first, then clang of the NDK, then GCC for 64-bit Arm, whose programs carry their
    C library with them: Android has another.

    Raises:
        InputError: the named one does not exist.
    """
    if named is not None:
        if shutil.which(named) is None:
            raise InputError(f"there is no compiler {named!r}", where="--cc", fix="name one for 64-bit Arm")
        return (named,) if "android" in Path(named).name else (named, "-static")
    ndk = os.environ.get(NDK)
    if ndk:
        found = sorted(Path(ndk).glob(f"toolchains/llvm/prebuilt/*/bin/aarch64-linux-android{_API}-clang"))
        return (str(found[0]),) if found else f"{NDK} has no aarch64-linux-android{_API}-clang"
    reason = aarch64.missing(aarch64.CC)
    return (aarch64.CC, "-static") if reason is None else f"{reason}, and {NDK} names no NDK"


def build(
    c_folder: Path, inputs: NDArray[np.int8], cc: Sequence[str], architecture: str, folder: Path
) -> Path:
    """The program in ``folder``, beside inputs.bin with ``inputs`` int8 [N, ...].

    Raises:
        InputError: there is no model in ``c_folder``.
        GateError: it cannot be compiled.
    """
    command = (cc[0], *c_program.FLAGS, f"-march={architecture}", *cc[1:])
    return c_program.built(c_folder, inputs, command, folder, "c_phone.c")[1]


def put(phone: Phone, program: Path, folder: PurePosixPath) -> None:
    """Copies what ``build`` made.

    Raises:
        GateError: the phone is lost, or has no room.
    """
    phone.push(program, folder / PROGRAM)
    phone.push(program.with_name("inputs.bin"), folder / "inputs.bin")
    phone.must(["chmod", "700", str(folder / PROGRAM)], "the program cannot be made one")


def run(
    phone: Phone,
    folder: PurePosixPath,
    count: int,
    output_bytes: int,
    *,
    runs: int,
    warmup: int,
) -> Ran:
    """All answers to the ``count`` inputs that were put there, and times of the last one.

    Args:
        phone: that has the program.
        folder: the program's.
        count: of the inputs.
        output_bytes: of each answer.
        runs: inferences that are timed, at least.
        warmup: inferences before, not counted.

    Raises:
        GateError: it does not run there, or the phone is lost, full, or hangs.
    """
    ended = phone.script(
        f"cd {folder} && exec ./{PROGRAM} inputs.bin outputs.bin {warmup:d} {runs:d} {KEPT} {LEAST_MS} "
        f"{MOST_S * 1000}",
        seconds=2 * MOST_S + 60,
    )
    if ended.code != 0:
        raise _failed(phone, ended)
    times, before, peak = parse(ended.out, phone.serial)
    outputs = np.frombuffer(phone.pull(folder / "outputs.bin", count * output_bytes), np.int8)
    return Ran(outputs.reshape(count, -1), times, before, peak)


def parse(text: str, where: str = "") -> tuple[NDArray[np.float64], int | None, int | None]:
    """(times in µs, peak bytes before, peak bytes after) of what the program printed.

    Raises:
        GateError: it is not what the program prints.
    """
    peak = re.search(r"^peak_kb (-?\d{1,12}) (-?\d{1,12})$", text, re.MULTILINE)
    times = [float(us) for us in re.findall(r"^us (\d{1,12}\.\d{3})$", text, re.MULTILINE)]
    ended = re.search(r"^runs (\d{1,12}) ns (\d{1,18})$", text, re.MULTILINE)
    if peak is None or ended is None or not times or len(times) != min(int(ended[1]), KEPT):
        raise GateError(
            "the program on the phone gave no times",
            where=where,
            fix="measure again; report it if it stays so",
        )
    before, after = (1024 * int(kb) if int(kb) >= 0 else None for kb in peak.groups())
    return np.array(times), before, after


def work(seconds: float) -> Work:
    """The program as a load of so many seconds, in its folder."""
    ms = round(1000 * seconds)
    command = (f"./{PROGRAM}", "inputs.bin", "/dev/null", "0", "1", "0", str(ms), str(2 * ms))
    return Work(command, loaded)


def loaded(text: str) -> Load | None:
    """What the program says of a load; None: nothing."""
    ended = re.search(r"^runs (\d{1,12}) ns (\d{1,18})$", text, re.MULTILINE)
    if ended is None or int(ended[1]) == 0 or int(ended[2]) == 0:
        return None
    return Load(int(ended[1]), int(ended[2]) / 1e9)


def _failed(phone: Phone, ended: programs.Ended) -> GateError:
    full = ended.code == 4 or "No space left" in ended.err
    words = "the phone's disk is full" if full else f"exit code {ended.code}: {ended.last_words}"
    return GateError(
        f"the program does not run on the phone: {words}",
        where=phone.serial,
        fix="make room on the phone, and measure again"
        if full
        else f"compile it with Android's NDK ({NDK}, or --cc)",
    )
