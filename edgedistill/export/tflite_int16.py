"""Prints operators on int16 to .tflite so that LiteRT's kernels follow the one rule of ``ir.numerics16``.

Biases become int64, which makes the kernels sum in int64 and round once. A fully connected layer becomes
a 1x1 convolution between two RESHAPEs, because LiteRT's own kernel rounds otherwise. XNNPACK has no
int16 operators: LiteRT runs these in its builtin kernels, which have the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgedistill.export.tflite_printer import Printer
from edgedistill.ir.graph import Op
from edgedistill.ir.ops import Add, Conv2D, DepthwiseConv2D, FullyConnected, Quantize

# The lowest version that an interpreter must know (tensorflow/lite/tools/versioning/op_version.cc).
VERSIONS: Mapping[str, int] = {
    "CONV_2D": 4,
    "DEPTHWISE_CONV_2D": 5,
    "ADD": 3,
    "QUANTIZE": 2,
}


def print_int16(p: Printer, op: Op) -> None:
    """An operator that computes with int16, or turns it into int8 or back."""
    match op.attrs:
        case Quantize():
            _plain(p, op, p.options("QuantizeOptions"))
        case Conv2D(act=act):
            p.window(op, op.attrs, p.options("Conv2DOptions", act), _bias(p, op), VERSIONS[op.kind])
        case DepthwiseConv2D(act=act):
            options = p.options("DepthwiseConv2DOptions", act)
            options.depthMultiplier = 1
            p.window(op, op.attrs, options, _bias(p, op), VERSIONS[op.kind])
        case FullyConnected():
            _dense(p, op, op.attrs)
        case Add(act):
            options = p.options("AddOptions", act)
            options.potScaleInt16 = False
            _plain(p, op, options)
        case _:
            raise AssertionError(f"{op.name}: {op.kind} on int16")


def _plain(p: Printer, op: Op, options: Any) -> None:
    p.emit(op.kind, [*map(p.index, op.inputs)], p.index(op.outputs[0]), options, VERSIONS[op.kind])


def _dense(p: Printer, op: Op, attrs: FullyConnected) -> None:
    x, y = (p.graph.tensors[name] for name in (op.inputs[0], op.outputs[0]))
    w = p.graph.tensors[op.inputs[1]]
    assert w.data is not None and w.quant is not None
    kernel = p.writer.tensor(
        w.name, (len(w.data), 1, 1, w.shape[1]), "int8", scale=w.quant.scale, data=w.data[:, None, None, :]
    )
    image = p.between(f"{y.name}/image", (1, 1, 1, x.shape[1]), "int16", x.quant)
    answer = p.between(f"{y.name}/answer", (1, 1, 1, y.shape[1]), "int16", y.quant)
    _reshape(p, p.index(x.name), image, f"{y.name}/image", (1, 1, 1, x.shape[1]))
    options = p.options("Conv2DOptions", attrs.act)
    options.padding = p.writer.schema.Padding.VALID
    options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
    p.emit("CONV_2D", [image, kernel, _bias(p, op)], answer, options, VERSIONS["CONV_2D"])
    _reshape(p, answer, p.index(y.name), y.name, y.shape)


def _bias(p: Printer, op: Op) -> int:
    b = p.graph.tensors[op.inputs[2]]
    assert b.data is not None and b.quant is not None
    return p.writer.tensor(b.name, b.shape, "int64", scale=b.quant.scale, data=b.data.astype(np.int64))


def _reshape(p: Printer, x: int, y: int, name: str, shape: tuple[int, ...]) -> None:
    wanted = np.array([-1, *shape[1:]], np.int32)
    options = p.options("ReshapeOptions")
    options.newShape = wanted
    p.emit("RESHAPE", [x, p.constant(f"{name}/shape", wanted)], y, options)
