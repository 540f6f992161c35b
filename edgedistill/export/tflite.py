"""Prints a graph, integer or float32, as a .tflite file that every LiteRT reads.

An integer graph is printed so that XNNPACK's arithmetic (family F) and the reference
kernels' (family D) both follow the interpreter: explicit PAD wherever TFLite's SAME
would pad differently, tables as CAST -> ADD 128 -> GATHER, no QUANTIZE in between but at the
borders of int16 (tflite_int16.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from edgedistill.errors import writing
from edgedistill.export.metadata import Metadata, remarks
from edgedistill.export.tflite_functions import print_table
from edgedistill.export.tflite_int16 import print_int16
from edgedistill.export.tflite_metadata import METADATA_NAME, append_labels, model_metadata
from edgedistill.export.tflite_printer import Printer
from edgedistill.ir.graph import Graph, Op
from edgedistill.ir.ops import Add, Concat, Conv2D, DepthwiseConv2D, FullyConnected, MaxPool2D, Mul, Reshape

Io = Literal["int8", "uint8", "float32"]


def to_bytes(graph: Graph, meta: Metadata, *, io: Io = "int8") -> bytes:
    """The file's bytes; equal graphs and metadata give equal bytes.

    Args:
        graph: integer or float32; activations NHWC with batch 1 (the file takes any batch).
        meta: name, labels and the pre-processing contract.
        io: what the inputs and outputs of an integer graph look like from outside. uint8
            (Android's Task Library: ``uint8 = int8 + 128``, the same bits) and float32
            (LiteRT.js, which refuses int8) are wrapped by QUANTIZE and DEQUANTIZE; the
            network between them stays the same. A float graph ignores it.
    """
    printer = Printer(graph)
    wrap = graph.is_integer and io != "int8"
    inputs = {name: _enter(printer, name, io) if wrap else printer.index(name) for name in graph.inputs}
    for op in graph.ops:
        wide = graph.is_int16(op) and op.kind != "RESHAPE"  # which is the same for every type
        (print_int16 if wide else PRINTERS[op.kind])(printer, op)
    outputs = {name: _leave(printer, name, io) if wrap else printer.index(name) for name in graph.outputs}
    printer.writer.metadata(METADATA_NAME, model_metadata(graph, meta))
    printer.writer.metadata("edgedistill", _provenance(graph, meta))
    return append_labels(printer.writer.finish(graph.name, meta.description, inputs, outputs), meta.labels)


def write(graph: Graph, meta: Metadata, path: Path, *, io: Io = "int8") -> None:
    """Write ``to_bytes`` to ``path``.

    Raises:
        OutputError: the file cannot be written.
    """
    data = to_bytes(graph, meta, io=io)
    with writing("the TFLite file", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _provenance(graph: Graph, meta: Metadata) -> bytes:
    value = {
        "name": meta.name,
        "version": meta.version,
        "input_scale": meta.input_scale,
        "input_zero_point": meta.input_zero_point,
        "provenance": dict(meta.provenance),
        "operators": remarks(graph),
    }
    return json.dumps(value, sort_keys=True, ensure_ascii=False).encode()


def _outside(p: Printer, name: str, io: Io) -> int:
    """The tensor that a caller sees in place of the int8 tensor ``name``."""
    tensor = p.graph.tensors[name]
    assert tensor.quant is not None
    if io == "float32":
        return p.writer.tensor(f"{name}/float32", tensor.shape, "float32")
    zero_point = tensor.quant.zero_point + 128
    return p.writer.tensor(
        f"{name}/uint8", tensor.shape, "uint8", scale=tensor.quant.scale, zero_point=zero_point
    )


def _enter(p: Printer, name: str, io: Io) -> int:
    outside = _outside(p, name, io)
    p.emit("QUANTIZE", [outside], p.index(name), p.options("QuantizeOptions"))
    return outside


def _leave(p: Printer, name: str, io: Io) -> int:
    outside = _outside(p, name, io)
    if io == "float32":
        p.emit("DEQUANTIZE", [p.index(name)], outside, p.options("DequantizeOptions"))
    else:
        p.emit("QUANTIZE", [p.index(name)], outside, p.options("QuantizeOptions"))
    return outside


def _conv(p: Printer, op: Op) -> None:
    assert isinstance(op.attrs, Conv2D)
    p.window(op, op.attrs, p.options("Conv2DOptions", op.attrs.act))


def _depthwise(p: Printer, op: Op) -> None:
    assert isinstance(op.attrs, DepthwiseConv2D)
    options = p.options("DepthwiseConv2DOptions", op.attrs.act)
    options.depthMultiplier = 1
    p.window(op, op.attrs, options)


def _dense(p: Printer, op: Op) -> None:
    assert isinstance(op.attrs, FullyConnected)
    p.emit_op(op, p.options("FullyConnectedOptions", op.attrs.act))


def _add(p: Printer, op: Op) -> None:
    assert isinstance(op.attrs, Add)
    p.emit_op(op, p.options("AddOptions", op.attrs.act))


def _mul(p: Printer, op: Op) -> None:
    assert isinstance(op.attrs, Mul)
    quants = [p.graph.tensors[name].quant for name in (*op.inputs, *op.outputs)]
    a, b, y = (float(q.scale[0]) if q else 0.0 for q in quants)
    version = 3 if p.integer and a * b / y >= 1.0 else None  # a multiplier of 1 or more is new in version 3
    p.emit(
        "MUL",
        [p.index(x) for x in op.inputs],
        p.index(op.outputs[0]),
        p.options("MulOptions", op.attrs.act),
        version,
    )


def _max_pool(p: Printer, op: Op) -> None:
    attrs = op.attrs
    assert isinstance(attrs, MaxPool2D)
    options = p.options("Pool2DOptions")
    x, options.padding = p.padded(op.inputs[0], attrs.pads, attrs.kernel, attrs.stride, for_max=True)
    options.strideH, options.strideW = attrs.stride
    options.filterHeight, options.filterWidth = attrs.kernel
    p.emit(op.kind, [x], p.index(op.outputs[0]), options)


def _concat(p: Printer, op: Op) -> None:
    assert isinstance(op.attrs, Concat)
    options = p.options("ConcatenationOptions")
    options.axis = op.attrs.axis
    p.emit_op(op, options)


def _reshape(p: Printer, op: Op) -> None:
    assert isinstance(op.attrs, Reshape)
    output = op.outputs[0]
    shape = np.array([-1, *p.graph.tensors[output].shape[1:]], np.int32)
    options = p.options("ReshapeOptions")
    options.newShape = shape
    p.emit("RESHAPE", [p.index(op.inputs[0]), p.constant(output + "/shape", shape)], p.index(output), options)


PRINTERS: Mapping[str, Callable[[Printer, Op], None]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "ADD": _add,
    "MUL": _mul,
    "MAX_POOL_2D": _max_pool,
    "CONCATENATION": _concat,
    "RESHAPE": _reshape,
    "TABLE": print_table,
}
