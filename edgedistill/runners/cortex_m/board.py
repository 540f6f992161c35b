"""Makes the firmware that a host drives over a serial line: files for any board, and an image for QEMU's."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template

import numpy as np

from edgedistill.errors import GateError
from edgedistill.runners import c_source
from edgedistill.runners.c_source import CSource
from edgedistill.runners.cortex_m import toolchain
from edgedistill.runners.cortex_m.firmware import compile_model, resource
from edgedistill.runners.cortex_m.machines import ICOUNT_SHIFT
from edgedistill.target import Target

FOLDER = "board"  # within the folder of the C files
_MODEL_HEADER = "board_model.h"
_FILES = {"protocol.h": "protocol.h", "protocol.c": "protocol.c", "board.md": "README.md"}
_ON_QEMU = ("startup.c", "protocol.c", "uart.c")
_START_S = 10
_STOP_S = 5


def write(c_folder: Path) -> None:
    """Puts the serial protocol beside a model in C, as the folder ``board``.

    Raises:
        InputError: there is no model in ``c_folder``.
    """
    source = c_source.find(c_folder)
    folder = c_folder / FOLDER
    folder.mkdir(exist_ok=True)
    (folder / _MODEL_HEADER).write_text(_model_header(source), encoding="utf-8")
    for name, written in _FILES.items():
        text = Template(resource(name)).substitute(model=source.name)
        (folder / written).write_text(text, encoding="utf-8")


def image(c_folder: Path, device: Target, folder: Path, *, cc: str = toolchain.CC) -> Path:
    """The same program for a device's emulator, linked in ``folder`` with the device's flash and RAM.

    Raises:
        InputError: there is no model, or it does not fit the device.
        GateError: the compiler does not take the files.
    """
    source = c_source.find(c_folder)
    (folder / _MODEL_HEADER).write_text(_model_header(source), encoding="utf-8")
    (folder / "protocol.h").write_text(resource("protocol.h"), encoding="utf-8")
    firmware = compile_model(source, device, folder, cc=cc, programs_c=_ON_QEMU)
    return firmware.link(np.empty((0, 1), np.int8), "board")


@contextmanager
def running(elf: Path, machine: str) -> Iterator[str]:
    """Runs an image in QEMU and gives the name of the serial port that leads to it; stops it at the end.

    Raises:
        GateError: QEMU does not start.
    """
    quiet = ("-display", "none", "-monitor", "none", "-serial", "pty")
    command = [toolchain.QEMU, "-M", machine, *quiet, "-icount", f"shift={ICOUNT_SHIFT}", "-kernel", str(elf)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as qemu:
        late = threading.Timer(_START_S, qemu.kill)  # ends the wait for a line that does not come
        late.start()
        try:
            assert qemu.stdout is not None
            said, found = "", None
            for line in qemu.stdout:  # warnings may come before it
                said += line
                if found := re.search(r"redirected to (\S+)", line):
                    break
            late.cancel()
            if found is None:
                raise GateError(
                    f"the emulator did not start: {said.strip() or 'it said nothing'}",
                    where=" ".join(command)[:300],
                    fix="check that the target's cpu, features and emulator fit each other",
                )
            yield found[1]
        finally:
            late.cancel()
            qemu.terminate()
            try:
                qemu.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                qemu.kill()


def _model_header(source: CSource) -> str:
    upper = source.name.upper()
    real = "".join(f"#define {name} {upper}_{name}\n" for name in ("OUTPUT_SCALE", "OUTPUT_ZERO_POINT"))
    return (
        "/* The names under which protocol.c knows this folder's model. */\n"
        f'{source.macros()}{real}#define MODEL_NAME "{source.name}"\n'
    )
