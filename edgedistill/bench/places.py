"""The table of places where a finished build is measured: this machine, emulators, boards, phones.

A row names its function instead of importing it, so that reading the table loads nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, cast

from edgedistill.errors import InputError
from edgedistill.record import Measurement, Parity
from edgedistill.target import Target

if TYPE_CHECKING:
    from edgedistill.runners.cortex_m.mix import Mix

HERE = "here"


@dataclass(frozen=True)
class Request:
    """What the user asks a place for.

    ``path`` is a build's folder, or one model with golden.npz beside it; ``on`` a place as it is written;
    ``device`` the target that was named; ``threads`` and ``cpu`` None: not given; ``adaptive``: the user
    gave no count, so a place that can may take as many runs as the median needs (``statistics.repeat``).
    """

    path: Path
    on: str = HERE
    device: Target | None = None
    runs: int = 200
    warmup: int = 20
    threads: int | None = None
    cpu: str | None = None
    cc: str = "arm-none-eabi-gcc"
    trust: bool = False
    benchmark_model: Path | None = None
    mix: bool = False  # what each function's instructions were
    adaptive: bool = False
    python: str | None = None  # on the other side of ssh
    ssh_config: Path | None = None  # instead of ~/.ssh/config

    @property
    def address(self) -> str:
        """What follows the place's name and a colon, which may be nothing."""
        return self.on.partition(":")[2]

    @property
    def threads_or_default(self) -> int:
        """As given; else the target's; else 1."""
        if self.threads is not None:
            return self.threads
        facts = self.device.threads if self.device is not None else None
        return facts.value if facts is not None else 1

    def needs_device(self, example: str) -> Target:
        """The target that was named.

        Raises:
            InputError: none was; ``example`` is one that fits.
        """
        if self.device is None:
            raise InputError(
                "an emulator belongs to a target",
                where=f"--on {self.on}",
                fix=f"name it with --target, such as --target {example}",
            )
        return self.device


@dataclass(frozen=True)
class Found:
    """What a place measured: rows, a comparison of bytes for each file that answered, words for people.

    A comparison that is ``broken`` ends the command after all is printed; ``remedy`` says what to do then.
    """

    measurements: tuple[Measurement, ...]
    parity: tuple[Parity, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    remedy: str = "build again; if it stays so, report the difference"
    mix: Mix | None = None


class Place(Protocol):
    """What a row's function is called with."""

    def __call__(self, request: Request, /) -> Found: ...


@dataclass(frozen=True)
class PlaceRow:
    """One place: what it is, how its address is written (none: it has no address), its function."""

    text: str
    where: str  # "module:function" of a Place
    address: str = ""  # such as "PORT[@BAUD]"; in brackets throughout: may be left out
    takes_cpu: bool = False  # whether --cpu changes anything
    takes_mix: bool = False  # whether --mix does
    takes_ssh: bool = False  # and --python and --ssh-config

    def written(self, name: str) -> str:
        """How the user writes it: ``serial:PORT[@BAUD]``, ``adb[:SERIAL]``."""
        if not self.address:
            return name
        return f"{name}[:{self.address[1:]}" if self.address.startswith("[") else f"{name}:{self.address}"

    def load(self) -> Place:
        """Imports the function."""
        module, _, name = self.where.partition(":")
        return cast(Place, getattr(importlib.import_module(module), name))


PLACES: Mapping[str, PlaceRow] = MappingProxyType(
    {
        HERE: PlaceRow(
            text="this machine: latency, memory and size, int8 beside float32",
            where="edgedistill.bench.here:bench",
        ),
        "emulator": PlaceRow(
            text="the target's emulator: instructions, memory and bytes",
            where="edgedistill.bench.emulator:bench",
            takes_cpu=True,
            takes_mix=True,
        ),
        "qemu-user": PlaceRow(
            text="64-bit Arm in QEMU's user mode: bytes alone",
            where="edgedistill.bench.emulator:quick",
            takes_cpu=True,
        ),
        "browser": PlaceRow(
            text="WebAssembly in a Chromium on this machine: bytes, latency and memory",
            where="edgedistill.bench.browser:bench",
            address="[PROGRAM]",
        ),
        "serial": PlaceRow(
            text="a board of yours, over its serial line",
            where="edgedistill.bench.board:at_port",
            address="PORT[@BAUD]",
        ),
        "qemu-serial": PlaceRow(
            text="an emulated board, over its serial line",
            where="edgedistill.bench.board:emulated",
        ),
        "ssh": PlaceRow(
            text="a Linux board of yours, such as a Raspberry Pi: bytes, latency, memory, energy",
            where="edgedistill.bench.ssh:bench",
            address="USER@HOST[:PORT]",
            takes_ssh=True,
        ),
        "adb": PlaceRow(
            text="an Android phone, through adb: bytes, latency, memory and energy",
            where="edgedistill.bench.phone:bench",
            address="[SERIAL]",
        ),
    }
)


def row_for(on: str) -> PlaceRow:
    """The row of what the user wrote.

    Raises:
        InputError: there is no such place, or its address is missing or not wanted.
    """
    name, colon, _ = on.partition(":")
    row = PLACES.get(name)
    if row is None:
        raise InputError(f"nothing can be measured on {on!r}", where="--on", fix=f"one of {listed()}")
    if colon and not row.address:
        raise InputError(f"{name} has no address", where=f"--on {on}", fix=f"say --on {name}")
    return row


def listed() -> str:
    """All places as they are written."""
    return ", ".join(row.written(name) for name, row in PLACES.items())


def bench(request: Request) -> Found:
    """Measures where the user asked to.

    Raises:
        InputError: there is no such place, or as the place says.
        GateError: as the place says.
    """
    row = row_for(request.on)
    if request.cpu is not None and not row.takes_cpu:
        fix = " or ".join(f"--on {name}" for name, one in PLACES.items() if one.takes_cpu)
        raise InputError("--cpu chooses an emulated processor", where="--cpu", fix=f"say {fix}, too")
    if request.mix and not row.takes_mix:
        fix = " or ".join(f"--on {name}" for name, one in PLACES.items() if one.takes_mix)
        raise InputError(
            "--mix counts an emulated microcontroller's instructions", where="--mix", fix=f"say {fix}, too"
        )
    for option, given in (("--python", request.python), ("--ssh-config", request.ssh_config)):
        if given is not None and not row.takes_ssh:
            raise InputError(
                f"{option} is of a board over ssh", where=option, fix="say --on ssh:USER@HOST, too"
            )
    return row.load()(request)
