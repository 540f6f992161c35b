"""The table of file formats: who prints an artifact, and what it is for.

A row names the module instead of importing it, so that reading the table loads no library.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, TypeVar, cast

from edgedistill.errors import UnknownNameError
from edgedistill.export.metadata import Metadata
from edgedistill.ir.graph import Graph

F = TypeVar("F", bound=str)


class Write(Protocol):
    """What prints one artifact: a file, or for Core ML and C a folder."""

    def __call__(self, graph: Graph, meta: Metadata, path: Path, /) -> None: ...


@dataclass(frozen=True)
class ExporterRow:
    """One format: the file's suffix, what it is for, and the module whose ``write`` prints it.

    A suffix without a dot is the whole name of a folder.
    """

    suffix: str
    text: str
    module: str

    def path(self, folder: Path, stem: str = "student") -> Path:
        """Where the artifact lies in a build's folder."""
        return folder / (stem + self.suffix if self.suffix.startswith(".") else self.suffix)

    def load(self) -> Write:
        """Imports the module and gives its ``write``."""
        return cast(Write, importlib.import_module(self.module).write)

    def write(self, graph: Graph, meta: Metadata, path: Path) -> None:
        """Prints ``graph`` to ``path``."""
        self.load()(graph, meta, path)


EXPORTERS: Mapping[str, ExporterRow] = MappingProxyType(
    {
        "onnx": ExporterRow(
            suffix=".onnx",
            text="ONNX Runtime on phones, desktops, servers and in browsers",
            module="edgedistill.export.onnx",
        ),
        "tflite": ExporterRow(
            suffix=".tflite",
            text="LiteRT (TensorFlow Lite) on Android, Linux boards and microcontrollers",
            module="edgedistill.export.tflite",
        ),
        "coreml": ExporterRow(
            suffix=".mlpackage",
            text="Core ML on iPhone, iPad and Mac (iOS 17, macOS 14 and newer)",
            module="edgedistill.export.coreml",
        ),
        "c": ExporterRow(
            suffix="c",
            text="C99 without libraries, for microcontrollers and whatever has a C compiler",
            module="edgedistill.export.c",
        ),
    }
)


def exporter_for(name: str) -> ExporterRow:
    """The row named ``name``; an unknown name is an error that offers the nearest."""
    if name not in EXPORTERS:
        raise UnknownNameError("export format", name, EXPORTERS)
    return EXPORTERS[name]


NO_INT16: Mapping[str, str] = MappingProxyType(
    {"coreml": "its quantize takes int8 alone, and its float32 sums of int16 values are not exact"}
)
"""Formats that cannot hold int16 activations to the bit, and why."""


def exportable(formats: Sequence[F], graph: Graph) -> tuple[F, ...]:
    """Those of ``formats`` that can hold ``graph``."""
    lacking = NO_INT16 if graph.int16_activations() else ()
    return tuple(name for name in formats if name not in lacking)
