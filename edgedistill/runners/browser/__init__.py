"""Runs .onnx and .tflite files in WebAssembly in a real Chromium: onnxruntime-web and LiteRT.js.

Chromium opens one page without a window. The page loads the model from a server on 127.0.0.1, answers the
golden inputs, times itself and sends back what it found. Nothing drives the browser but the page.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgedistill.errors import GateError, InputError
from edgedistill.ir.graph import Tensor
from edgedistill.runners.browser import chromium, packages
from edgedistill.runners.browser.chromium import Browser
from edgedistill.runners.browser.server import PageServer

Runtime = Literal["onnxruntime-web", "litert.js"]
RUNTIMES: Mapping[str, Runtime] = {".onnx": "onnxruntime-web", ".tflite": "litert.js"}
PAGE = ("measure.html", "measure.js", "student.js")
STALL_S = 120.0  # without a word from the page; its slowest step is one call, or loading the model
_LOOK_S = 0.2  # between looks at the browser's process
_Real = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Border:
    """An input or output of batch 1: ``real = scale * (q - zero_point)``."""

    shape: tuple[int, ...]
    scale: float
    zero_point: int

    @staticmethod
    def of(tensor: Tensor) -> Border:
        """Of an int8 tensor of a graph."""
        assert tensor.quant is not None, f"{tensor.name} is quantised"
        return Border(tensor.shape, float(tensor.quant.scale[0]), tensor.quant.zero_point)


@dataclass(frozen=True, eq=False)
class Task:
    """One model in one runtime.

    ``model``: the file's bytes; a .tflite must have float32 borders (``export.tflite``'s ``io``).
    ``inputs`` int8 [N, ...]; ``is_float``: the model is float32, ``inputs`` are still int8. ``runs`` 0: no
    times.
    """

    model: bytes
    runtime: Runtime
    inputs: NDArray[np.int8]
    input: Border
    output: Border
    is_float: bool = False
    threads: int = 1
    runs: int = 0
    warmup: int = 0


@dataclass(frozen=True, eq=False)
class Answered:
    """``outputs`` int8 [N, ...]; ``samples_ms``: of a call, each the mean of ``batch`` calls in a row."""

    outputs: NDArray[np.int8]
    samples_ms: NDArray[np.float64]
    batch: int
    warmup: int
    clock_step_ms: float  # of performance.now
    loaded_bytes: int  # of WebAssembly's linear memory with the model, before the first call
    memory_bytes: int  # at the end; linear memory never shrinks
    runtime: str  # "onnxruntime-web 1.30.0 in Chromium 156.0.8078.79"


def missing(program: str = "") -> str | None:
    """Why nothing can be run, and what to do; None: all is here, or npm can fetch it.

    Args:
        program: Chromium's; empty: as ``chromium.find``.
    """
    return chromium.missing(program) or packages.missing()


def label(runtime: Runtime, program: str = "") -> str:
    """``onnxruntime-web 1.30.0 in Chromium 156.0.8078.79``; without a Chromium, no version of it."""
    found = chromium.find(program)
    return f"{runtime} {packages.version(runtime)} in {chromium.version(found) if found else 'Chromium'}"


def run(task: Task, *, program: str = "", stall_s: float = STALL_S) -> Answered:
    """Runs one model in a browser of its own.

    Args:
        task: what to run.
        program: as ``missing``.
        stall_s: seconds without a word after which the page is given up.

    Raises:
        InputError: there is no Chromium.
        GateError: npm cannot fetch the runtimes; browser or page fail, crash or hang.
    """
    found = chromium.find(program)
    if found is None:
        raise InputError(chromium.missing(program) or "", where="--on browser")
    runtime = label(task.runtime, program)
    server = PageServer(_files(task))
    with server.running(), chromium.opened(found, server.url(PAGE[0])) as browser:
        said = _wait(server, browser, runtime, stall_s)
    return _checked(said, task, runtime)


def page_file(name: str) -> bytes:
    """A file that the page consists of."""
    return resources.files("edgedistill.runners.browser").joinpath(name).read_bytes()


def _files(task: Task) -> dict[str, Path | bytes]:
    cached = packages.gather()
    job = {
        "runtime": task.runtime,
        "threads": task.threads,
        "float": task.is_float,
        "input": vars(task.input),
        "output": vars(task.output),
        "count": len(task.inputs),
        "runs": task.runs,
        "warmup": task.warmup,
    }
    return {
        **{name: page_file(name) for name in PAGE},
        **{name: cached / name for name in packages.FILES[task.runtime]},
        "job.json": json.dumps(job).encode(),
        "model": task.model,
        "inputs": np.ascontiguousarray(task.inputs).tobytes(),
    }


def _wait(server: PageServer, browser: Browser, runtime: str, stall_s: float) -> dict[str, object]:
    """What the page answered, as soon as it did; its death or silence is an error."""
    with server.changed:
        server.beat = time.monotonic()
        while server.answer is None:
            if browser.ended:
                raise GateError(
                    f"Chromium ended by itself (exit status {browser.process.returncode}): "
                    f"{browser.last_words}",
                    where=runtime,
                    fix="run the command again; see that the machine has memory left",
                )
            if server.died:
                raise GateError(
                    "the page crashed in Chromium",
                    where=runtime,
                    fix="run the command again; see that the machine has memory left",
                )
            if time.monotonic() - server.beat > stall_s:
                raise GateError(
                    f"the page said nothing for {stall_s:g} s",
                    where=runtime,
                    fix="try again on an idle machine, or with a smaller network",
                )
            server.changed.wait(_LOOK_S)
        return server.answer


class _Said(BaseModel):
    """The page's answer, which is checked like any stranger's."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    outputs: str
    samples_ms: tuple[_Real, ...] = ()
    batch: _Count = 1
    warmup: int = Field(default=0, ge=0)
    clock_step_ms: _Real = 0.0
    loaded_bytes: int = Field(ge=0)
    memory_bytes: int = Field(ge=0)


def _checked(answer: Mapping[str, object], task: Task, runtime: str) -> Answered:
    if "error" in answer:
        raise GateError(
            f"the model does not run in the browser: {str(answer['error'])[:1000]}",
            where=runtime,
            fix="see the runtime's own words above; `edgedistill verify` tries the file in the runtimes here",
        )
    try:
        said = _Said.model_validate(answer)
        raw = base64.b64decode(said.outputs, validate=True)
        outputs = np.frombuffer(raw, np.int8).reshape(len(task.inputs), *task.output.shape[1:])
    except (ValidationError, ValueError, binascii.Error) as error:
        raise GateError(
            f"the page's answer is not one: {str(error).splitlines()[0]}", where=runtime
        ) from error
    return Answered(
        outputs=outputs,
        samples_ms=np.array(said.samples_ms, np.float64),
        batch=said.batch,
        warmup=said.warmup,
        clock_step_ms=said.clock_step_ms,
        loaded_bytes=said.loaded_bytes,
        memory_bytes=said.memory_bytes,
        runtime=runtime,
    )
