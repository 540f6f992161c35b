"""Prints unary functions to .tflite: a table in an integer graph, native operators in a float graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgedistill.export.tflite_printer import Printer
from edgedistill.ir.graph import Op
from edgedistill.ir.ops import Table


def print_table(p: Printer, op: Op) -> None:
    """TABLE in either kind of graph."""
    assert isinstance(op.attrs, Table)
    if p.integer:
        _integer_table(p, op)
    else:
        _float_function(p, op, op.attrs)


def _integer_table(p: Printer, op: Op) -> None:
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


def _float_function(p: Printer, op: Op, attrs: Table) -> None:
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
            clipped = step(
                "clipped", "ADD", [x_index, constant("three", 3.0)], p.options("AddOptions", "relu6")
            )
            p.emit("MUL", [clipped, constant("sixth", 1 / 6)], y_index, p.options("MulOptions"))
        case "elu" if attrs.alpha == 1.0:
            p.emit("ELU", [x_index], y_index)
        case "elu":  # relu(x) + alpha * elu(min(x, 0))
            below = step(
                "below", "MINIMUM", [x_index, constant("zero", 0.0)], p.options("MaximumMinimumOptions")
            )
            curve = step("curve", "ELU", [below])
            scaled = step("scaled", "MUL", [curve, constant("alpha", attrs.alpha)], p.options("MulOptions"))
            above = step("above", "RELU", [x_index])
            p.emit("ADD", [above, scaled], y_index, p.options("AddOptions"))
