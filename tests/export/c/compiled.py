"""Compiles printed models for this computer or for 64-bit Arm and runs them as if they were the graph."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgedistill.export import c
from edgedistill.export.c import text
from edgedistill.export.metadata import Metadata
from edgedistill.ir.graph import Graph
from edgedistill.ir.interpret import Family
from edgedistill.runners import aarch64

Int8 = NDArray[np.int8]

WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror")
SANITIZERS = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
EMULATED = Path(__file__).with_name("dsp_emulated.h")

VARIANTS = {
    "portable": ("-DEDGE_FLOAT=1",),
    "portable without a float unit": ("-DEDGE_FLOAT=0",),
    "dsp": ("-DEDGE_FLOAT=1", f'-DEDGE_DSP_HEADER="{EMULATED}"'),
    "dsp without a float unit": ("-DEDGE_FLOAT=0", f'-DEDGE_DSP_HEADER="{EMULATED}"'),
}


@dataclass(frozen=True)
class Machine:
    """A compiler (None: the computer's own) and what runs its programs."""

    cc: str | None = None
    under: tuple[str, ...] = ()

    def compiler(self) -> str:
        """Skips the test where it or the emulator is not here."""
        if self.cc is None:
            return compiler()
        reason = aarch64.reason_not_runnable()
        if reason is not None:
            pytest.skip(reason)
        return self.cc


HERE = Machine()
ARM = Machine(aarch64.CC, (aarch64.QEMU, "-cpu", aarch64.CPU, "-L", "/usr/aarch64-linux-gnu"))
"""With the C library of Debian's cross compiler: the sanitizers need a shared one."""

ARM_VARIANTS = {
    "NEON": (f"-march={aarch64.ARCHITECTURES[0]}",),
    "NEON with dot products": (f"-march={aarch64.ARCHITECTURES[1]}",),
}

_DRIVER = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static void run(int (*invoke)(const int8_t *, int8_t *, void *), size_t in, size_t out, size_t arena)
{
    unsigned char count[4];
    int8_t *x = malloc(in), *y = malloc(out), *memory = malloc(arena);
    unsigned n;
    if (fread(count, 1, 4, stdin) != 4) exit(3);
    for (n = count[0] + 256u * count[1]; n > 0; n--) {
        memset(memory, 0x5A, arena); /* what a call leaves behind must not matter */
        if (fread(x, 1, in, stdin) != in || invoke(x, y, memory) != 0) exit(4);
        fwrite(y, 1, out, stdout);
    }
    free(x);
    free(y);
    free(memory);
}
"""


def compiler() -> str:
    """The C compiler's path; skips the test where there is none."""
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if found is None:
        pytest.skip("needs a C compiler (cc, gcc or clang) on the PATH")
    return found


def compile_c(target: Path, sources: Sequence[Path], flags: Sequence[str], machine: Machine = HERE) -> None:
    """Fails the test with the compiler's own words."""
    command = [machine.compiler(), *flags, "-o", str(target), *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[:4000]


def metadata(name: str, labels: tuple[str, ...] = ()) -> Metadata:
    """Metadata with a name."""
    return Metadata(name, f"The {name} network.", labels, 1 / 64, 0, "1.0")


def run(program: Path, sent: bytes, machine: Machine = HERE) -> subprocess.CompletedProcess[bytes]:
    """The program with ``sent`` as its input; an emulator cannot look for leaks."""
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"} if machine.under else None
    return subprocess.run(
        [*machine.under, program], input=sent, capture_output=True, timeout=120, check=False, env=environment
    )


def outputs(
    graphs: Sequence[Graph],
    inputs: Sequence[Int8],
    folder: Path,
    flags: Sequence[str],
    family: Family = "F",
    machine: Machine = HERE,
) -> list[Int8]:
    """What all graphs, compiled into one program, answer to their inputs [N, ...]."""
    sources, includes, calls = [], [], []
    for i, graph in enumerate(graphs):
        meta = metadata(f"net{i}")
        c.write(graph, meta, folder, family)
        stem = "edgedistill_" + text.identifier(meta.name)
        sources.append(folder / f"{stem}.c")
        includes.append(f'#include "{stem}.h"')
        up = stem.upper()
        calls.append(f"    run({stem}_invoke, {up}_INPUT_BYTES, {up}_OUTPUT_BYTES, {up}_ARENA_BYTES);")
    main = folder / "main.c"
    main.write_text("\n".join([*includes, _DRIVER, "int main(void)", "{", *calls, "    return 0;", "}", ""]))
    program = folder / "program"
    compile_c(program, [main, *sources], [*WARNINGS, *SANITIZERS, *flags], machine)
    sent = b"".join(np.uint32(len(x)).tobytes() + x.tobytes() for x in inputs)
    done = run(program, sent, machine)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[:4000]
    found, at = [], 0
    for graph, x in zip(graphs, inputs, strict=True):
        shape = (len(x), *graph.tensors[graph.outputs[0]].shape[1:])
        size = int(np.prod(shape))
        found.append(np.frombuffer(done.stdout, np.int8, size, at).reshape(shape))
        at += size
    assert at == len(done.stdout)
    return found
