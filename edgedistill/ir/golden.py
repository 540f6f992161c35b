"""Golden vectors: inputs, outputs and per-layer checksums that prove a device computes the same network."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import InputError, writing
from edgedistill.ir.graph import Graph
from edgedistill.ir.interpret import Family, run_batched


@dataclass(frozen=True, eq=False)
class Golden:
    """``inputs`` and ``outputs`` int8 [N, ...]; ``checksums``: crc32 of all N values of each activation.

    Values are in the graph's own order (NHWC) and two's complement, batch first.
    """

    inputs: NDArray[np.int8]
    outputs: NDArray[np.int8]
    checksums: Mapping[str, int]


def checksum(values: NDArray[Any]) -> int:
    """crc32 (as in zlib) of the values' bytes."""
    return zlib.crc32(np.ascontiguousarray(values).tobytes())


def golden(graph: Graph, inputs: NDArray[np.int8], family: Family = "F") -> Golden:
    """What the interpreter answers to ``inputs`` int8 [N, ...] of an int8 graph with one input and output."""
    assert graph.is_integer, f"{graph.name}: golden vectors are of an integer graph"
    assert (len(graph.inputs), len(graph.outputs)) == (1, 1), f"{graph.name}: one input and one output"
    every = run_batched(graph, {graph.inputs[0]: inputs}, family, keep=True)
    sums = {name: checksum(value) for name, value in every.items()}
    return Golden(inputs.copy(), every[graph.outputs[0]], MappingProxyType(sums))


def save(vectors: Golden, path: Path) -> None:
    """Writes an .npz of plain arrays: inputs, outputs, layers (names), crc32; the same bytes each time.

    Raises:
        OutputError: the file cannot be written.
    """
    with writing("the golden vectors", path), open(path, "wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            inputs=vectors.inputs,
            outputs=vectors.outputs,
            layers=np.array(list(vectors.checksums), dtype=np.str_),
            crc32=np.array(list(vectors.checksums.values()), np.uint32),
        )


def load(path: Path) -> Golden:
    """Reads what ``save`` wrote.

    Raises:
        InputError: no such file, or not golden vectors.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in ("inputs", "outputs", "layers", "crc32")}
        if arrays["inputs"].dtype != np.int8 or arrays["outputs"].dtype != np.int8:
            raise ValueError(
                f"inputs are {arrays['inputs'].dtype} and outputs {arrays['outputs'].dtype}, not int8"
            )
        if len(arrays["inputs"]) != len(arrays["outputs"]):
            raise ValueError(f"{len(arrays['inputs'])} inputs but {len(arrays['outputs'])} outputs")
        if not arrays["inputs"].size or not arrays["outputs"].size:
            raise ValueError("there is nothing in them")
        sums = {str(k): int(v) for k, v in zip(arrays["layers"], arrays["crc32"], strict=True)}
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"these are not golden vectors: {error}", where=str(path), fix="give the golden.npz of a build"
        ) from error
    return Golden(arrays["inputs"], arrays["outputs"], MappingProxyType(sums))
