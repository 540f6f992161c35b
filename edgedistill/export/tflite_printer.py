"""What printing one operator to .tflite needs: tensors by name, options, explicit padding.

Between the graph, which it reads, and the flatbuffer writer, which knows no graph.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.export.tflite_flatbuffer import ModelWriter
from edgedistill.ir.graph import Graph, Op, QParams
from edgedistill.ir.ops import Act, Conv2D, DepthwiseConv2D, Pads, Pair

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
    "DEQUANTIZE": (1, 2),
}


def same_pads(size: int, kernel: int, stride: int) -> Pair:
    """What TFLite's SAME puts before and after an axis of ``size``."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Printer:
    """The writer, the graph, and which tensors are in the file already."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.writer = ModelWriter()
        self.integer = graph.is_integer
        self._index: dict[str, int] = {}
        self._padded: dict[tuple[str, Pads, bool], int] = {}

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

    def emit(
        self, kind: str, inputs: list[int], output: int, options: Any = None, version: int | None = None
    ) -> None:
        if version is None:
            version = VERSIONS.get(kind, (1, 1))[self.integer]
        self.writer.operator(kind, version, inputs, [output], options)

    def emit_op(self, op: Op, options: Any = None) -> None:
        """The operator as it stands: same inputs, same output."""
        self.emit(op.kind, [self.index(x) for x in op.inputs], self.index(op.outputs[0]), options)

    def window(
        self,
        op: Op,
        attrs: Conv2D | DepthwiseConv2D,
        options: Any,
        bias: int | None = None,
        version: int | None = None,
    ) -> None:
        """A convolution; ``bias``: instead of its own."""
        weights = self.graph.tensors[op.inputs[1]]
        kernel = (weights.shape[1], weights.shape[2])
        x, options.padding = self.padded(op.inputs[0], attrs.pads, kernel, attrs.stride)
        options.strideH, options.strideW = attrs.stride
        options.dilationHFactor = options.dilationWFactor = 1
        w = self.index(op.inputs[1])
        inputs = [x, w, self.index(op.inputs[2]) if bias is None else bias]
        self.emit(op.kind, inputs, self.index(op.outputs[0]), options, version)

    def options(self, name: str, act: Act = "none") -> Any:
        """An options object of the schema, its fused activation set where it has one."""
        schema = self.writer.schema
        options = getattr(schema, name + "T")()
        if hasattr(options, "fusedActivationFunction"):
            options.fusedActivationFunction = getattr(schema.ActivationFunctionType, act.upper())
        return options

    def padded(
        self, x: str, pads: Pads, kernel: Pair, stride: Pair, for_max: bool = False
    ) -> tuple[int, int]:
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
            lowest = (
                np.array([-128], np.int8)
                if self.integer
                else np.array([-np.finfo(np.float32).max], np.float32)
            )
            inputs.append(self.constant(stem + "/lowest", lowest, t.quant))
        output = self.between(stem, shape, t.dtype, t.quant)
        if len(inputs) == 3:
            self.emit("PADV2", inputs, output, self.options("PadV2Options"))
        else:
            version = 3 if t.dtype == "int16" else None  # op_version.cc
            self.emit("PAD", inputs, output, self.options("PadOptions"), version)
        return output
