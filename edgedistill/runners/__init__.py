"""The table of runtimes that can execute an artifact, and what they all offer.

A row names the class instead of importing it, so that reading the table loads no runtime.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import InputError, UnknownNameError
from edgedistill.runners import programs


class Runner(Protocol):
    """A loaded model in one runtime; arrays are batch first, [N, H, W, C] for images."""

    version: str

    def run(self, x: NDArray[Any], /) -> NDArray[Any]:
        """The first output for inputs ``x`` [N, ...]."""
        ...

    def run_all(self, x: NDArray[Any], /) -> dict[str, NDArray[Any]]:
        """Every value that the runtime can show, by tensor name."""
        ...

    def latency_ms(self, x: NDArray[Any], /, runs: int, warmup: int) -> NDArray[np.float64]:
        """Wall-clock time of each of ``runs`` calls, in ms, after ``warmup`` calls that are not counted."""
        ...


class RunnerFactory(Protocol):
    """What a row's class is called with."""

    def __call__(self, model: Path | bytes, /, *, threads: int = 1) -> Runner: ...


@dataclass(frozen=True)
class RunnerRow:
    """One runtime: what it is, the files it takes, where its class is, and where it can run."""

    text: str
    suffix: str  # of the files or folders that it takes
    libraries: tuple[str, ...] = ()  # modules whose import loads the runtime itself; any one will do
    where: str = ""  # "module:Class" of a Runner; empty: by other means
    only_checked: bool = False  # no runner: the file is read back and evaluated
    programs: tuple[str, ...] = ()  # that run it instead of a library

    @property
    def can_run_here(self) -> bool:
        """True when the library or all programs are installed, and somebody runs the files at all."""
        if self.only_checked:
            return False
        if self.programs:
            return all(programs.find(program) is not None for program in self.programs)
        return self.library is not None

    @property
    def library(self) -> str | None:
        """The first of the libraries that is installed."""
        return next((m for m in self.libraries if importlib.util.find_spec(m.partition(".")[0])), None)

    def load(self) -> RunnerFactory:
        """Imports the class.

        Raises:
            InputError: the runtime cannot run on this machine.
        """
        if not self.where:
            raise InputError(f"no runner executes {self.suffix} files here", where=self.text)
        if not self.can_run_here:
            package = self.libraries[0].partition(".")[0].replace("_", "-")
            raise InputError(
                f"the runtime {package} is not installed", where=self.text, fix=f"pip install {package}"
            )
        module, _, name = self.where.partition(":")
        return cast(RunnerFactory, getattr(importlib.import_module(module), name))


RUNNERS: Mapping[str, RunnerRow] = MappingProxyType(
    {
        "litert": RunnerRow(
            text="LiteRT with XNNPACK, what Android apps and Linux boards run .tflite files with",
            suffix=".tflite",
            libraries=(
                "ai_edge_litert.interpreter",
                "tflite_runtime.interpreter",
                "tensorflow.lite.python.interpreter",
            ),
            where="edgedistill.runners.litert:LiteRt",
        ),
        "onnxruntime": RunnerRow(
            text="ONNX Runtime on the CPU, for .onnx files on servers, desktops, phones and in browsers",
            suffix=".onnx",
            libraries=("onnxruntime",),
            where="edgedistill.runners.ort:Ort",
        ),
        "coreml": RunnerRow(
            text="Core ML, which predicts on macOS and iOS only; elsewhere the file is checked, not run",
            suffix=".mlpackage",
            libraries=("coremltools",),
            only_checked=True,
        ),
        "c": RunnerRow(
            text="the C files, compiled for this machine",
            suffix="c/",
            programs=("cc",),
        ),
        "cortex-m": RunnerRow(
            text="the C files as firmware on an Arm Cortex-M in QEMU: instructions, stack, flash",
            suffix="c/",
            programs=("arm-none-eabi-gcc", "qemu-system-arm"),
        ),
        "vela": RunnerRow(
            text="Arm's compiler for Ethos-U: cycles, memory and what the processor has to run, estimated",
            suffix="_vela.tflite",
            programs=("vela",),
        ),
        "serial": RunnerRow(
            text="the C files on a board of yours, over its serial line: bench --on serial:PORT[@BAUD]",
            suffix="c/",
            libraries=("serial",),
        ),
        "adb": RunnerRow(
            text="the C files, and .tflite files in benchmark_model, on an Android phone: bench --on adb",
            suffix="c/",
            programs=("adb",),
        ),
        "aarch64": RunnerRow(
            text="the C files as a program for 64-bit Arm in QEMU: every byte, no timing",
            suffix="c/",
            programs=("aarch64-linux-gnu-gcc", "qemu-aarch64-static"),
        ),
        "emulator": RunnerRow(
            text="the .tflite and .onnx files on an emulated 64-bit Arm Linux: bench --on emulator",
            suffix=".tflite, .onnx",
            programs=("qemu-system-aarch64", "apt-get", "dpkg-deb"),
        ),
    }
)


def row_for(name: str) -> RunnerRow:
    """The row named ``name``; an unknown name is an error that offers the nearest."""
    if name not in RUNNERS:
        raise UnknownNameError("runtime", name, RUNNERS)
    return RUNNERS[name]


def name_for(path: Path) -> str | None:
    """The name of the runtime that takes this file, by its suffix."""
    return next((name for name, row in RUNNERS.items() if row.suffix == path.suffix), None)
