"""Assembles a .tflite flatbuffer: tensors, buffers, operator codes, signature, metadata entries.

Knows the file format and nothing of the graph. The tables themselves come from the schema
that LiteRT's Python package ships, so a field's number is never written by hand.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import InputError

FILE_IDENTIFIER = b"TFL3"
BUFFER_ALIGNMENT_BYTES = 16  # schema.fbs: Buffer.data has (force_align: 16); micro controllers read in place


def load_schema() -> ModuleType:
    """The generated tables of schema.fbs.

    Raises:
        InputError: no installed package ships them.
    """
    for name in ("ai_edge_litert.schema_py_generated", "tensorflow.lite.python.schema_py_generated"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise InputError(
        "the TFLite file format's schema is not installed",
        where="export to tflite",
        fix="pip install ai-edge-litert",
    )


class ModelWriter:
    """Collects one subgraph's parts and packs them. Tensors are referred to by index."""

    def __init__(self) -> None:
        self.schema = load_schema()
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: dict[tuple[int, int], int] = {}
        self._metadata: list[Any] = []
        self._buffers: list[Any] = [self._buffer(None)]  # by convention buffer 0 is empty: "no data"

    def _buffer(self, data: bytes | None) -> Any:
        schema = self.schema

        class AlignedBuffer(schema.BufferT):  # type: ignore[name-defined,misc]
            """Object-API packing forgets force_align; this one keeps it."""

            def Pack(self, builder: Any) -> Any:
                offset = None
                if self.data is not None:
                    builder.StartVector(1, len(self.data), BUFFER_ALIGNMENT_BYTES)
                    builder.head -= len(self.data)
                    builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
                    offset = builder.EndVector()
                schema.BufferStart(builder)
                if offset is not None:
                    schema.BufferAddData(builder, offset)
                return schema.BufferEnd(builder)

        buffer = AlignedBuffer()
        buffer.data = data
        return buffer

    def _add_buffer(self, data: bytes) -> int:
        self._buffers.append(self._buffer(data))
        return len(self._buffers) - 1

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str,
        *,
        scale: NDArray[np.float32] | None = None,
        zero_point: int = 0,
        quantized_dimension: int = 0,
        data: NDArray[Any] | None = None,
    ) -> int:
        """Add a tensor; without ``data`` its first dimension is the batch (any size)."""
        tensor = self.schema.TensorT()
        tensor.name = name
        tensor.shape = np.asarray(shape, np.int32)
        tensor.type = getattr(self.schema.TensorType, dtype.upper())
        tensor.hasRank = True
        if data is None:
            tensor.shapeSignature = np.asarray([-1, *shape[1:]], np.int32)
        else:
            little_endian = np.ascontiguousarray(data, np.dtype(data.dtype).newbyteorder("<"))
            tensor.buffer = self._add_buffer(little_endian.tobytes())
        if scale is not None:
            quantization = self.schema.QuantizationParametersT()
            quantization.scale = np.asarray(scale, np.float32)
            quantization.zeroPoint = np.full(len(scale), zero_point, np.int64)
            quantization.quantizedDimension = quantized_dimension
            tensor.quantization = quantization
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def operator(
        self,
        builtin: str,
        version: int,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: Any = None,
    ) -> None:
        """Add a builtin operator; ``options`` is an object of the schema (``Conv2DOptionsT`` ...) or None."""
        code = getattr(self.schema.BuiltinOperator, builtin)
        operator = self.schema.OperatorT()
        operator.opcodeIndex = self._codes.setdefault((code, version), len(self._codes))
        operator.inputs = np.asarray(inputs, np.int32)
        operator.outputs = np.asarray(outputs, np.int32)
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, kind)
            operator.builtinOptions = options
        self._operators.append(operator)

    def metadata(self, name: str, data: bytes) -> None:
        """Add a named metadata buffer."""
        entry = self.schema.MetadataT()
        entry.name = name
        entry.buffer = self._add_buffer(data)
        self._metadata.append(entry)

    def finish(
        self, name: str, description: str, inputs: Mapping[str, int], outputs: Mapping[str, int]
    ) -> bytes:
        """The file's bytes; ``inputs`` and ``outputs`` name tensors in the signature ``serving_default``."""
        import flatbuffers

        subgraph = self.schema.SubGraphT()
        subgraph.name = name
        subgraph.tensors = self._tensors
        subgraph.inputs = np.array(list(inputs.values()), np.int32)
        subgraph.outputs = np.array(list(outputs.values()), np.int32)
        subgraph.operators = self._operators

        signature = self.schema.SignatureDefT()
        signature.signatureKey = "serving_default"
        signature.inputs = [self._named(*item) for item in inputs.items()]
        signature.outputs = [self._named(*item) for item in outputs.items()]

        model = self.schema.ModelT()
        model.version = 3
        model.description = description
        model.operatorCodes = [self._operator_code(*key) for key in self._codes]
        model.subgraphs = [subgraph]
        model.buffers = self._buffers
        model.metadata = self._metadata
        model.signatureDefs = [signature]
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
        return bytes(builder.Output())

    def _named(self, name: str, index: int) -> Any:
        entry = self.schema.TensorMapT()
        entry.name = name
        entry.tensorIndex = index
        return entry

    def _operator_code(self, code: int, version: int) -> Any:
        entry = self.schema.OperatorCodeT()
        entry.builtinCode = code
        entry.deprecatedBuiltinCode = min(code, 127)  # what readers before schema 3a look at
        entry.version = version
        return entry
