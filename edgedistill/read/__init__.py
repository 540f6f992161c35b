"""The table of files that networks made elsewhere are read from, and what reading one gives.

A row names the module instead of importing it, so that reading the table loads no library.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, cast

from edgedistill.errors import InputError
from edgedistill.ir.graph import Graph


@dataclass(frozen=True, eq=False)
class Loaded:
    """An integer graph that passed every rule, and what a user should know about how it was read."""

    graph: Graph
    notes: tuple[str, ...] = ()


class Read(Protocol):
    """What turns a file's bytes into a graph; ``where`` names the file in errors."""

    def __call__(self, data: bytes, where: str, /) -> Loaded: ...


@dataclass(frozen=True)
class ReaderRow:
    """One kind of file: what it is, and the module whose ``from_bytes`` reads it."""

    text: str
    module: str

    def load(self) -> Read:
        """Imports the module and gives its ``from_bytes``."""
        return cast(Read, importlib.import_module(self.module).from_bytes)


READERS: Mapping[str, ReaderRow] = MappingProxyType(
    {
        ".tflite": ReaderRow(
            text="full-integer TensorFlow Lite: int8 activations, int32 biases",
            module="edgedistill.read.tflite",
        ),
        ".onnx": ReaderRow(
            text="int8 ONNX, as QLinear operators or as float operators between Q and DQ nodes",
            module="edgedistill.read.onnx",
        ),
    }
)

MAX_FILE_BYTES = 2**31 - 1
"""The largest flatbuffer and the largest protobuf: both formats count in 31 bits."""


def read(path: Path) -> Loaded:
    """The network in a file.

    Raises:
        InputError: the file cannot be read, is damaged, or is no int8 network.
        UnsupportedOpError: it has operators that the graph has not; all of them are named.
    """
    row = READERS.get(path.suffix.lower())
    if row is None:
        raise InputError(
            f"networks are not read from {path.suffix or 'such'} files",
            where=str(path),
            fix=f"give {' or '.join(READERS)}",
        )
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InputError(f"{size:,} bytes are more than the format can hold", where=str(path))
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"the model cannot be read: {error.strerror}", where=str(path), fix=f"give {' or '.join(READERS)}"
        ) from error
    return row.load()(data, str(path))


def checked(graph: Graph, where: str) -> Graph:
    """``graph``, after every rule of a legal graph was seen to hold.

    Raises:
        InputError: the file breaks a rule.
    """
    from edgedistill.ir import verify

    try:
        verify.check(graph)
    except AssertionError as error:
        raise InputError(
            f"the network breaks a rule of int8 graphs: {error}", where=where, fix="convert the network again"
        ) from error
    return graph
