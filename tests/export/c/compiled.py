"""Compiles printed models with the computer's own C compiler and runs them as if they were the graph."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgedistill.export import c
from edgedistill.export.c import text
from edgedistill.export.metadata import Metadata
from edgedistill.ir.graph import Graph
from edgedistill.ir.interpret import Family

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


def compile_c(target: Path, sources: Sequence[Path], flags: Sequence[str]) -> None:
    """Fails the test with the compiler's own words."""
    command = [compiler(), *flags, "-o", str(target), *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[:4000]


def metadata(name: str, labels: tuple[str, ...] = ()) -> Metadata:
    """Metadata with a name."""
    return Metadata(name, f"The {name} network.", labels, 1 / 64, 0, "1.0")


def outputs(
    graphs: Sequence[Graph],
    inputs: Sequence[Int8],
    folder: Path,
    flags: Sequence[str],
    family: Family = "F",
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
    compile_c(program, [main, *sources], [*WARNINGS, *SANITIZERS, *flags])
    sent = b"".join(np.uint32(len(x)).tobytes() + x.tobytes() for x in inputs)
    done = subprocess.run([program], input=sent, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[:4000]
    found, at = [], 0
    for graph, x in zip(graphs, inputs, strict=True):
        shape = (len(x), *graph.tensors[graph.outputs[0]].shape[1:])
        size = int(np.prod(shape))
        found.append(np.frombuffer(done.stdout, np.int8, size, at).reshape(shape))
        at += size
    assert at == len(done.stdout)
    return found
