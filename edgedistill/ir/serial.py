"""The graph as one .npz file: a JSON header and the constants, no pickle."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import InputError
from edgedistill.ir.graph import Graph, Op, QParams, Tensor
from edgedistill.ir.ops import OPS, Attrs

_VERSION = 1


def to_bytes(graph: Graph) -> bytes:
    """The file's content; the same graph gives the same bytes."""
    arrays: dict[str, NDArray[Any]] = {}
    tensors = []
    for i, tensor in enumerate(graph.tensors.values()):
        row: dict[str, Any] = {"name": tensor.name, "shape": tensor.shape, "dtype": tensor.dtype}
        if tensor.quant is not None:
            arrays[f"s{i}"] = tensor.quant.scale
            row["quant"] = {"zero_point": tensor.quant.zero_point, "axis": tensor.quant.axis}
        if tensor.data is not None:
            arrays[f"d{i}"] = tensor.data
        tensors.append(row)
    header = {
        "version": _VERSION,
        "name": graph.name,
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "labels": graph.labels,
        "tensors": tensors,
        "ops": [
            {
                "name": op.name,
                "kind": op.kind,
                "attrs": dataclasses.asdict(op.attrs),
                "inputs": op.inputs,
                "outputs": op.outputs,
            }
            for op in graph.ops
        ],
    }
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **arrays)
    return out.getvalue()


def _attrs(kind: str, fields: dict[str, Any]) -> Attrs:
    make: Callable[..., Attrs] = OPS[kind]
    return make(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})


def load(path: Path) -> Graph:
    """Reads what ``to_bytes`` wrote.

    Raises:
        InputError: no such file, or not one of ours.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(bytes(file["header"]))
            arrays = {k: file[k] for k in file.files}
        if header["version"] != _VERSION:
            raise ValueError(f"version {header['version']}, not {_VERSION}")
        tensors = {}
        for i, row in enumerate(header["tensors"]):
            quant = (
                QParams(
                    arrays[f"s{i}"],
                    row["quant"]["zero_point"],
                    row["quant"]["axis"],
                    16 if row["dtype"] == "int16" else 8,
                )
                if "quant" in row
                else None
            )
            tensors[row["name"]] = Tensor(
                row["name"], tuple(row["shape"]), row["dtype"], quant, arrays.get(f"d{i}")
            )
        ops = tuple(
            Op(
                row["name"],
                _attrs(row["kind"], row["attrs"]),
                tuple(row["inputs"]),
                tuple(row["outputs"]),
            )
            for row in header["ops"]
        )
        return Graph(
            header["name"],
            tensors,
            ops,
            tuple(header["inputs"]),
            tuple(header["outputs"]),
            tuple(header["labels"]),
        )
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(
            f"this is not a graph that edgedistill wrote: {error}",
            where=str(path),
            fix="give a build's graph.npz",
        ) from error
