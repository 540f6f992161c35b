"""Takes a .tflite apart into plain values, so that nothing behind it meets a damaged flatbuffer.

Knows the file format and nothing of the graph. Fields are found through the schema that
LiteRT's package ships. Everything is checked here once: lengths, indices, sizes.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import InputError
from edgedistill.export.tflite_flatbuffer import FILE_IDENTIFIER, load_schema
from edgedistill.export.tflite_metadata import LABEL_FILE
from edgedistill.read.assemble import MAX_VALUES

MAX_PARTS = 100_000
"""Tensors, operators or buffers of one file; a network for small devices has hundreds."""

_ITEM: Mapping[str, type[np.generic]] = {
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FLOAT32": np.float32,
}

# Operator -> (table of its options, fields that decide what it computes)
_OPTIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "CONV_2D": (
        "Conv2DOptions",
        ("Padding", "StrideH", "StrideW", "DilationHFactor", "DilationWFactor", "FusedActivationFunction"),
    ),
    "DEPTHWISE_CONV_2D": (
        "DepthwiseConv2DOptions",
        ("Padding", "StrideH", "StrideW", "DilationHFactor", "DilationWFactor", "FusedActivationFunction"),
    ),
    "FULLY_CONNECTED": ("FullyConnectedOptions", ("WeightsFormat", "FusedActivationFunction")),
    "ADD": ("AddOptions", ("FusedActivationFunction",)),
    "MUL": ("MulOptions", ("FusedActivationFunction",)),
    "AVERAGE_POOL_2D": (
        "Pool2DOptions",
        ("Padding", "StrideH", "StrideW", "FilterHeight", "FilterWidth", "FusedActivationFunction"),
    ),
    "MAX_POOL_2D": (
        "Pool2DOptions",
        ("Padding", "StrideH", "StrideW", "FilterHeight", "FilterWidth", "FusedActivationFunction"),
    ),
    "CONCATENATION": ("ConcatenationOptions", ("Axis", "FusedActivationFunction")),
    "SOFTMAX": ("SoftmaxOptions", ("Beta",)),
    "LEAKY_RELU": ("LeakyReluOptions", ("Alpha",)),
    "GATHER": ("GatherOptions", ("Axis", "BatchDims")),
    "MEAN": ("ReducerOptions", ("KeepDims",)),
}


@dataclass(frozen=True, eq=False)
class FileTensor:
    """A tensor as the file describes it. ``shape`` holds -1 where the size is open; ``data``: a constant."""

    name: str
    dtype: str  # INT8, FLOAT32, ...
    shape: tuple[int, ...]
    scale: NDArray[np.float32]  # [] where it is not quantised
    zero_point: NDArray[np.int64]
    axis: int
    data: NDArray[Any] | None


@dataclass(frozen=True)
class FileOp:
    """An operator: ``inputs`` and ``outputs`` index tensors, -1 is an input left out."""

    index: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class TfliteFile:
    """One network."""

    name: str
    tensors: tuple[FileTensor, ...]
    ops: tuple[FileOp, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    metadata: Mapping[str, bytes]
    labels: tuple[str, ...]


class _Damaged(Exception):
    """Something in the file that no writer writes."""


def parse(data: bytes, where: str) -> TfliteFile:
    """Takes the file apart.

    Raises:
        InputError: it is no .tflite, or it is damaged.
    """
    if data[4:8] != FILE_IDENTIFIER:
        raise InputError(
            f"this is not a .tflite file: bytes 4 to 8 are {data[4:8]!r}, not {FILE_IDENTIFIER!r}",
            where=where,
            fix="convert the network again, or copy the file again in binary mode",
        )
    schema = load_schema()
    try:
        return _parse(data, schema)
    except InputError:
        raise
    except _WRONG_BYTES as error:
        reason = str(error) if isinstance(error, _Damaged) else "it ends early, or points outside of itself"
        raise InputError(
            f"this .tflite file is damaged: {reason}",
            where=where,
            fix="copy it again (compare the sizes), or convert the network again",
        ) from error


# What flatbuffers' accessors, NumPy and we raise for bytes that are not what they should be.
_WRONG_BYTES = (
    _Damaged,
    struct.error,
    ValueError,  # UnicodeDecodeError too
    IndexError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
    KeyError,
)


def _parse(data: bytes, schema: Any) -> TfliteFile:
    model = schema.Model.GetRootAs(data, 0)
    if _length(model.SubgraphsLength(), "subgraphs") != 1:
        raise _Damaged(f"{model.SubgraphsLength()} subgraphs; a network without control flow has one")
    graph = model.Subgraphs(0)
    buffers = _length(model.BuffersLength(), "buffers")
    types = _names(schema.TensorType)
    tensors = []
    for i in range(_length(graph.TensorsLength(), "tensors")):
        tensors.append(_tensor(graph.Tensors(i), i, types, model, buffers))
    codes = [
        _code(model.OperatorCodes(i), schema) for i in range(_length(model.OperatorCodesLength(), "codes"))
    ]
    ops = tuple(
        _op(graph.Operators(i), i, codes, len(tensors), schema)
        for i in range(_length(graph.OperatorsLength(), "operators"))
    )
    metadata = {}
    for i in range(_length(model.MetadataLength(), "metadata entries")):
        entry = model.Metadata(i)
        content = _bytes(model, entry.Buffer(), buffers)
        metadata[_text(entry.Name())] = b"" if content is None else content.tobytes()
    inputs, outputs = (_indices(v, len(tensors)) for v in (graph.InputsAsNumpy(), graph.OutputsAsNumpy()))
    if not inputs or not outputs:
        raise _Damaged("the network has no input or no output")
    return TfliteFile(
        _text(graph.Name()) or "main", tuple(tensors), ops, inputs, outputs, metadata, _labels(data)
    )


def _tensor(tensor: Any, index: int, types: Mapping[int, str], model: Any, buffers: int) -> FileTensor:
    name = _text(tensor.Name()) or f"tensor {index}"
    dtype = types[tensor.Type()]
    shape, signature = _ints(tensor.ShapeAsNumpy()), _ints(tensor.ShapeSignatureAsNumpy())
    if len(signature) == len(shape):  # older files have none
        shape = tuple(-1 if s < 0 else n for s, n in zip(signature, shape, strict=True))
    if len(shape) > 8 or any(n < -1 for n in shape):
        raise _Damaged(f"the shape of {name!r} is {list(shape)[:9]}")
    if math.prod(max(n, 1) for n in shape) > MAX_VALUES:
        raise _Damaged(f"{name!r} would hold {math.prod(shape):,} values, more than {MAX_VALUES:,}")
    quant = tensor.Quantization()
    scale, zero, axis = np.zeros(0, np.float32), np.zeros(0, np.int64), 0
    if quant is not None and not isinstance(quant.ScaleAsNumpy(), int):
        scale = np.array(quant.ScaleAsNumpy(), np.float32)
        given = quant.ZeroPointAsNumpy()
        zero = np.zeros(len(scale), np.int64) if isinstance(given, int) else np.array(given, np.int64)
        axis = int(quant.QuantizedDimension())
    if not np.isfinite(scale).all() or (scale < 0).any():
        raise _Damaged(f"{name!r} has a scale that is negative or no number")
    content = _bytes(model, tensor.Buffer(), buffers)
    data = None
    if content is not None and dtype in _ITEM:
        item = np.dtype(_ITEM[dtype])
        if -1 in shape or len(content) != math.prod(shape) * item.itemsize:
            raise _Damaged(f"{name!r} is {dtype} {list(shape)} but holds {len(content):,} bytes")
        data = np.frombuffer(content.tobytes(), item.newbyteorder("<")).astype(item).reshape(shape)
    return FileTensor(name, dtype, shape, scale, zero, axis, data)


def _bytes(model: Any, index: int, buffers: int) -> NDArray[np.uint8] | None:
    if not 0 <= index < buffers:
        raise _Damaged(f"there is no buffer {index}")
    content = model.Buffers(index).DataAsNumpy()
    return None if isinstance(content, int) else content


def _code(code: Any, schema: Any) -> str:
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    kind = _names(schema.BuiltinOperator).get(number, f"operator number {number}")
    return f"CUSTOM {_text(code.CustomCode())!r}" if kind == "CUSTOM" else kind


def _op(op: Any, index: int, codes: list[str], tensors: int, schema: Any) -> FileOp:
    if not 0 <= op.OpcodeIndex() < len(codes):
        raise _Damaged(f"operator {index} has no code")
    kind = codes[op.OpcodeIndex()]
    inputs = _indices(op.InputsAsNumpy(), tensors, absent=True)
    outputs = _indices(op.OutputsAsNumpy(), tensors)
    return FileOp(index, kind, inputs, outputs, _options(op, kind, schema))


def _options(op: Any, kind: str, schema: Any) -> dict[str, float]:
    if kind not in _OPTIONS:
        return {}
    table, fields = _OPTIONS[kind]
    made = getattr(schema, table)()
    stored = op.BuiltinOptions()
    if stored is None or op.BuiltinOptionsType() != getattr(schema.BuiltinOptions, table):
        raise _Damaged(f"{kind} has no {table}")
    made.Init(stored.Bytes, stored.Pos)
    values = {field: getattr(made, field)() for field in fields}
    if not all(math.isfinite(v) for v in values.values()):
        raise _Damaged(f"an option of {kind} is no number")
    return values


def _labels(data: bytes) -> tuple[str, ...]:
    """The names in the zip archive that Android's tools append to a model; () without one."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if archive.getinfo(LABEL_FILE).file_size > len(data):  # stored, so never larger than the file
                return ()
            return tuple(archive.read(LABEL_FILE).decode().splitlines())
    except (
        zipfile.BadZipFile,
        KeyError,
        NotImplementedError,
        OSError,
        EOFError,
        RuntimeError,
        *_WRONG_BYTES,
    ):
        return ()


def _names(enum: Any) -> dict[int, str]:
    return {v: k for k, v in vars(enum).items() if isinstance(v, int) and not k.startswith("_")}


def _length(count: int, what: str) -> int:
    if not 0 <= count <= MAX_PARTS:
        raise _Damaged(f"it says that it has {count:,} {what}")
    return count


def _ints(array: Any) -> tuple[int, ...]:
    """A vector as numbers; an absent one is () (flatbuffers gives 0)."""
    if isinstance(array, int):
        return ()
    _length(len(array), "numbers in a vector")
    return tuple(int(n) for n in array)


def _indices(array: Any, tensors: int, absent: bool = False) -> tuple[int, ...]:
    found = _ints(array)
    if any(not (-1 if absent else 0) <= i < tensors for i in found):
        raise _Damaged(f"tensor {max(found)} or {min(found)} does not exist")
    return found


def _text(raw: bytes | None) -> str:
    return "" if raw is None else raw.decode("utf-8", "replace")
