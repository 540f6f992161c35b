"""Compiles the plugin that counts in QEMU, once, into the user's cache.

Distributions ship no header for plugins: ``counts.c`` declares what it uses of QEMU's documented interface.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path

from edgedistill.errors import GateError
from edgedistill.runners import c_here, c_program, programs
from edgedistill.runners.aarch64_system.sysroot import cache
from edgedistill.runners.cortex_m import qemu
from edgedistill.runners.cortex_m.firmware import resource
from edgedistill.runners.cortex_m.toolchain import QEMU

SOURCE = "counts.c"
FLAGS = ("-std=c99", "-O2", "-shared", "-fPIC", "-fvisibility=hidden")
COMPILE_S = 60


def missing() -> str | None:
    """Why the plugin cannot be made or used here, or None where nothing is known against it."""
    if (reason := c_here.reason_not_runnable()) is not None:
        return f"{reason}, and QEMU's plugin is compiled by it"
    if re.search(r"^-plugin\b", programs.run([QEMU, "-help"], seconds=30).out, re.MULTILINE) is None:
        return f"this {QEMU} was built without plugins"
    return None


def api(emulator: str) -> int:
    """The version of the interface that ``qemu 7.2.17`` takes: at most 1 before 9.0, then at least 2."""
    major = re.search(r"\d+", emulator)
    return 1 if major is not None and int(major[0]) < 9 else 2


def get() -> Path:
    """The cached plugin, or a new one; where ``missing`` says None.

    Raises:
        GateError: it cannot be compiled or kept.
    """
    cc = c_here.compiler()
    assert cc is not None, "missing() says why"
    source, flags = resource(SOURCE), (*FLAGS, f"-DAPI={api(qemu.version())}")
    key = hashlib.sha256("\0".join((source, c_program.version(cc), *flags)).encode()).hexdigest()[:16]
    made = cache() / f"qemu-counts-{key}.so"
    if made.is_file():
        return made
    try:
        cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache(), prefix="compiling-") as temporary:
            folder = Path(temporary)
            (folder / SOURCE).write_text(source, encoding="utf-8")
            ended = programs.run([cc, *flags, "-o", made.name, SOURCE], seconds=COMPILE_S, folder=folder)
            if ended.code != 0:
                raise GateError(
                    f"QEMU's plugin could not be compiled: {ended.last_words}",
                    where=cc,
                    fix="use a C compiler that makes shared libraries for this machine",
                )
            (folder / made.name).rename(made)
    except OSError as error:
        raise GateError(
            f"QEMU's plugin cannot be kept: {error.strerror or error}",
            where=str(cache()),
            fix="make room there, or name another folder with XDG_CACHE_HOME",
        ) from error
    return made
