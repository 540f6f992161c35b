"""Prints a graph, integer or float32, as a .tflite file that every LiteRT reads.

An integer graph is printed so that XNNPACK's arithmetic (family F) and the reference
kernels' (family D) both follow the interpreter: explicit PAD wherever TFLite's SAME
would pad differently, tables as CAST -> ADD 128 -> GATHER, no QUANTIZE in between.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import OutputError
from edgedistill.export.metadata import Metadata
from edgedistill.export.tflite_flatbuffer import ModelWriter
from edgedistill.export.tflite_metadata import METADATA_NAME, append_labels, model_metadata
from edgedistill.ir.graph import Graph, Op, QParams
from edgedistill.ir.ops import (
    Act,
    Add,
    Concat,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool2D,
    Mul,
    Pads,
    Pair,
    Reshape,
    Table,
)

# Kind -> (float32 version, int8 version): the lowest that an interpreter must know
# (tensorflow/lite/tools/versioning/op_version.cc). Kinds not listed are version 1.
VERSIONS: Mapping[str, tuple[int, int]] = {
    "CONV_2D": (1, 3),
    "DEPTHWISE_CONV_2D": (1, 3),
    "FULLY_CONNECTED": (1, 4),
    "ADD": (1, 2),
    "MUL": (1, 2),
    "MAX_POOL_2D": (1, 2),
    "CONCATENATION": (1, 2),
    "PAD": (1, 2),
    "PADV2": (1, 2),
    "GATHER": (1, 2),
}


def to_bytes(graph: Graph, meta: Metadata) -> bytes:
    """The file's bytes; equal graphs and metadata give equal bytes.

    Args:
        graph: integer or float32; activations NHWC with batch 1 (the file takes any batch).
        meta: name, labels and the pre-processing contract.
    """
    printer = _Printer(graph)
    for op in graph.ops:
        PRINTERS[op.kind](printer, op)
    printer.writer.metadata(METADATA_NAME, model_metadata(graph, meta))
    printer.writer.metadata("edgedistill", _provenance(meta))
    inputs = [printer.index(name) for name in graph.inputs]
    outputs = [printer.index(name) for name in graph.outputs]
    return append_labels(printer.writer.finish(graph.name, meta.description, inputs, outputs), meta.labels)


def write(graph: Graph, meta: Metadata, path: Path) -> None:
    """Write ``to_bytes`` to ``path``.

    Raises:
        OutputError: the file cannot be written.
    """
    data = to_bytes(graph, meta)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise OutputError(
            f"cannot write {len(data):,} bytes: {error.strerror}",
            where=str(path),
            fix="choose a folder that exists, is writable and has room",
        ) from error


def same_pads(size: int, kernel: int, stride: int) -> Pair:
    """What TFLite's SAME puts before and after an axis of ``size``."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _provenance(meta: Metadata) -> bytes:
    value = {
        "name": meta.name,
        "version": meta.version,
        "input_scale": meta.input_scale,
        "input_zero_point": meta.input_zero_point,
        "provenance": dict(meta.provenance),
    }
    return json.dumps(value, sort_keys=True, ensure_ascii=False).encode()


class _Printer:
    """The writer, the graph, and which tensors are in the file already."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.writer = ModelWriter()
        self.integer = graph.is_integer
        self._index: dict[str, int] = {}
        self._padded: dict[tuple[str, Pads, bool], int] = {}
        for name in graph.inputs:
            self.index(name)

    def index(self, name: str) -> int:
        """The tensor's index; written at its first use."""
        if name not in self._index:
            t = self.graph.tensors[name]
            axis = t.quant.axis if t.quant else None
            self._index[name] = self.writer.tensor(
                name,
                t.shape,
                t.dtype,
                scale=t.quant.scale if t.quant else None,
                zero_point=t.quant.zero_point if t.quant else 0,
                quantized_dimension=axis or 0,
                data=t.data,
            )
        return self._index[name]

    def constant(self, name: str, data: NDArray[Any], quant: QParams | None = None) -> int:
        """A constant that the graph has no name for."""
        dtype = data.dtype.name
        scale, zero_point = (quant.scale, quant.zero_point) if quant else (None, 0)
        return self.writer.tensor(name, data.shape, dtype, scale=scale, zero_point=zero_point, data=data)

    def between(self, name: str, shape: tuple[int, ...], dtype: str, quant: QParams | None = None) -> int:
        """An activation that the graph has no name for."""
        scale, zero_point = (quant.scale, quant.zero_point) if quant else (None, 0)
        return self.writer.tensor(name, shape, dtype, scale=scale, zero_point=zero_point)

    def emit(self, kind: str, inputs: list[int], output: int, options: Any = None, version: int | None = None) -> None:
        if version is None:
            version = VERSIONS.get(kind, (1, 1))[self.integer]
        self.writer.operator(kind, version, inputs, [output], options)

    def emit_op(self, op: Op, options: Any = None) -> None:
        """The operator as it stands: same inputs, same output."""
        self.emit(op.kind, [self.index(x) for x in op.inputs], self.index(op.outputs[0]), options)

    def options(self, name: str, act: Act = "none") -> Any:
        """An options object of the schema, its fused activation set where it has one."""
        schema = self.writer.schema
        options = getattr(schema, name + "T")()
        if hasattr(options, "fusedActivationFunction"):
            options.fusedActivationFunction = getattr(schema.ActivationFunctionType, act.upper())
        return options

    def padded(self, x: str, pads: Pads, kernel: Pair, stride: Pair, for_max: bool = False) -> tuple[int, int]:
        """(tensor to read, Padding): SAME where it is the same, else VALID after an explicit PAD."""
        padding = self.writer.schema.Padding
        _, h, w, _ = self.graph.tensors[x].shape
        if pads == (0, 0, 0, 0):
            return self.index(x), padding.VALID
        if pads == (*same_pads(h, kernel[0], stride[0]), *same_pads(w, kernel[1], stride[1])):
            return self.index(x), padding.SAME
        key = (x, pads, for_max)
        if key not in self._padded:
            self._padded[key] = self._pad(x, pads, for_max)
        return self._padded[key], padding.VALID

    def _pad(self, x: str, pads: Pads, for_max: bool) -> int:
        """PAD with real zero (int8: the zero point), or with the lowest value before a maximum."""
        t = self.graph.tensors[x]
        _, h, w, c = t.shape
        stem = f"{x}/{'pad_low' if for_max else 'pad'}_{'_'.join(map(str, pads))}"
        shape = (1, h + pads[0] + pads[1], w + pads[2] + pads[3], c)
        amounts = np.array([[0, 0], pads[:2], pads[2:], [0, 0]], np.int32)
        inputs = [self.index(x), self.constant(stem + "/amounts", amounts)]
        if for_max and not (t.quant and t.quant.zero_point == -128):
            lowest = np.array([-128], np.int8) if self.integer else np.array([-np.finfo(np.float32).max], np.float32)
            inputs.append(self.constant(stem + "/lowest", lowest, t.quant))
        output = self.between(stem, shape, t.dtype, t.quant)
        if len(inputs) == 3:
            self.emit("PADV2", inputs, output, self.options("PadV2Options"))
        else:
            self.emit("PAD", inputs, output, self.options("PadOptions"))
        return output


def _window(p: _Printer, op: Op, attrs: Conv2D | DepthwiseConv2D, options: Any) -> None:
    weights = p.graph.tensors[op.inputs[1]]
    kernel = (weights.shape[1], weights.shape[2])
    x, options.padding = p.padded(op.inputs[0], attrs.pads, kernel, attrs.stride)
    options.strideH, options.strideW = attrs.stride
    options.dilationHFactor = options.dilationWFactor = 1
    p.emit(op.kind, [x, *map(p.index, op.inputs[1:])], p.index(op.outputs[0]), options)


def _conv(p: _Printer, op: Op) -> None:
    assert isinstance(op.attrs, Conv2D)
    _window(p, op, op.attrs, p.options("Conv2DOptions", op.attrs.act))


def _depthwise(p: _Printer, op: Op) -> None:
    assert isinstance(op.attrs, DepthwiseConv2D)
    options = p.options("DepthwiseConv2DOptions", op.attrs.act)
    options.depthMultiplier = 1
    _window(p, op, op.attrs, options)


def _dense(p: _Printer, op: Op) -> None:
    assert isinstance(op.attrs, FullyConnected)
    p.emit_op(op, p.options("FullyConnectedOptions", op.attrs.act))


def _add(p: _Printer, op: Op) -> None:
    assert isinstance(op.attrs, Add)
    p.emit_op(op, p.options("AddOptions", op.attrs.act))


def _mul(p: _Printer, op: Op) -> None:
    assert isinstance(op.attrs, Mul)
    p.emit_op(op, p.options("MulOptions", op.attrs.act))


def _max_pool(p: _Printer, op: Op) -> None:
    attrs = op.attrs
    assert isinstance(attrs, MaxPool2D)
    options = p.options("Pool2DOptions")
    x, options.padding = p.padded(op.inputs[0], attrs.pads, attrs.kernel, attrs.stride, for_max=True)
    options.strideH, options.strideW = attrs.stride
    options.filterHeight, options.filterWidth = attrs.kernel
    p.emit(op.kind, [x], p.index(op.outputs[0]), options)


def _concat(p: _Printer, op: Op) -> None:
    assert isinstance(op.attrs, Concat)
    options = p.options("ConcatenationOptions")
    options.axis = op.attrs.axis
    p.emit_op(op, options)


def _reshape(p: _Printer, op: Op) -> None:
    assert isinstance(op.attrs, Reshape)
    output = op.outputs[0]
    shape = np.array([-1, *p.graph.tensors[output].shape[1:]], np.int32)
    options = p.options("ReshapeOptions")
    options.newShape = shape
    p.emit("RESHAPE", [p.index(op.inputs[0]), p.constant(output + "/shape", shape)], p.index(output), options)


def _table(p: _Printer, op: Op) -> None:
    assert isinstance(op.attrs, Table)
    if p.integer:
        _integer_table(p, op)
    else:
        _float_function(p, op, op.attrs)


def _integer_table(p: _Printer, op: Op) -> None:
    """CAST int8 -> int32, + 128, GATHER from the 256 entries: no arithmetic that could differ."""
    x, table = op.inputs
    y = op.outputs[0]
    shape, types = p.graph.tensors[x].shape, p.writer.schema.TensorType
    wide = p.between(y + "/int32", shape, "int32")
    cast = p.options("CastOptions")
    cast.inDataType, cast.outDataType = types.INT8, types.INT32
    p.emit("CAST", [p.index(x)], wide, cast)
    index = p.between(y + "/index", shape, "int32")
    offset = p.constant(y + "/offset", np.array([128], np.int32))
    p.emit("ADD", [wide, offset], index, p.options("AddOptions"), version=1)
    gather = p.options("GatherOptions")
    gather.axis, gather.batchDims = 0, 0
    p.emit("GATHER", [p.index(table), index], p.index(y), gather)


def _float_function(p: _Printer, op: Op, attrs: Table) -> None:
    """The native operator, or what it is made of where there is none."""
    y = op.outputs[0]
    x_index, y_index = p.index(op.inputs[0]), p.index(y)
    shape = p.graph.tensors[y].shape

    def constant(name: str, value: float) -> int:
        return p.constant(f"{y}/{name}", np.array([value], np.float32))

    def step(name: str, kind: str, inputs: list[int], options: Any = None) -> int:
        output = p.between(f"{y}/{name}", shape, "float32")
        p.emit(kind, inputs, output, options)
        return output

    match attrs.fn:
        case "sigmoid":
            p.emit("LOGISTIC", [x_index], y_index)
        case "tanh":
            p.emit("TANH", [x_index], y_index)
        case "gelu":
            p.emit("GELU", [x_index], y_index, p.options("GeluOptions"))
        case "hardswish":
            p.emit("HARD_SWISH", [x_index], y_index, p.options("HardSwishOptions"))
        case "leaky_relu":
            options = p.options("LeakyReluOptions")
            options.alpha = attrs.alpha
            p.emit("LEAKY_RELU", [x_index], y_index, options)
        case "silu":
            gate = step("gate", "LOGISTIC", [x_index])
            p.emit("MUL", [x_index, gate], y_index, p.options("MulOptions"))
        case "hardsigmoid":
            clipped = step("clipped", "ADD", [x_index, constant("three", 3.0)], p.options("AddOptions", "relu6"))
            p.emit("MUL", [clipped, constant("sixth", 1 / 6)], y_index, p.options("MulOptions"))
        case "elu" if attrs.alpha == 1.0:
            p.emit("ELU", [x_index], y_index)
        case "elu":  # relu(x) + alpha * elu(min(x, 0))
            below = step("below", "MINIMUM", [x_index, constant("zero", 0.0)], p.options("MaximumMinimumOptions"))
            curve = step("curve", "ELU", [below])
            scaled = step("scaled", "MUL", [curve, constant("alpha", attrs.alpha)], p.options("MulOptions"))
            above = step("above", "RELU", [x_index])
            p.emit("ADD", [above, scaled], y_index, p.options("AddOptions"))


PRINTERS: Mapping[str, Callable[[_Printer, Op], None]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "ADD": _add,
    "MUL": _mul,
    "MAX_POOL_2D": _max_pool,
    "CONCATENATION": _concat,
    "RESHAPE": _reshape,
    "TABLE": _table,
}
