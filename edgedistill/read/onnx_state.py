"""What reading an .onnx file node by node remembers: which value of the file is what in the graph.

Between DequantizeLinear and QuantizeLinear stand float operators. One of them is *pending*: known
but for its output's scale, which the QuantizeLinear behind it brings. QLinear operators bring all
scales with them and are settled at once, by the same code.

Layouts: the graph is NHWC. A 4-D value of the file is NHWC too, or NCHW; a vector that was made by
flattening an NCHW value holds it in the order (C, H, W).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgedistill.ir.graph import QParams
from edgedistill.read.assemble import Assembly, FileAct, Unsupported, parameters
from edgedistill.read.onnx_file import Node, OnnxFile

Layout = Literal["nhwc", "nchw"]
NCHW_FROM_NHWC, NHWC_FROM_NCHW = (0, 3, 1, 2), (0, 2, 3, 1)
_SUFFIXES = (
    "_QuantizeLinear_Output",
    "_quantized",
)  # what onnxruntime.quantization appends to a value's name


@dataclass(frozen=True)
class Where:
    """How a value of the file lies in memory, compared with the graph's tensor."""

    layout: Layout = "nhwc"
    chw: tuple[int, int, int] | None = None  # of a vector in the order (C, H, W)


@dataclass(frozen=True)
class Int8:
    """An int8 value: the activation of the graph that it is."""

    name: str
    at: Where


@dataclass(frozen=True)
class Real:
    """What DequantizeLinear makes of it; ``ended``: a softmax that was left out followed."""

    of: Int8
    ended: bool = False


@dataclass(frozen=True, eq=False)
class Weights:
    """A quantised constant of the file, in the file's own layout."""

    name: str
    data: NDArray[Any]
    scale: NDArray[np.float32] | None  # None: real numbers
    zero_point: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Pending:
    """A float operator whose output has no scale yet: ``emit(y, act)`` appends it."""

    shape: tuple[int, ...]  # of the graph's tensor
    at: Where
    emit: Callable[[str, FileAct], None]
    act: FileAct = "none"


@dataclass(frozen=True)
class Index:
    """int32 copies of an int8 value on their way to a table."""

    of: Int8
    offset: int


Value = Int8 | Real | Pending | Index


class State:
    """The file, the graph so far, and what every value of the file stands for."""

    def __init__(self, file: OnnxFile, assembly: Assembly, scales: Mapping[str, QParams]) -> None:
        self.file = file
        self.a = assembly
        self.scales = scales
        self.values: dict[str, Value] = {}
        self.weights: dict[str, Weights] = {}
        self.entered: dict[str, str] = {}  # float32 input of the file -> the graph's input
        self.shapes: dict[str, tuple[int, ...]] = {}  # filled where the rest of a network is to be judged
        self.names = _names(file)

    def int8(self, name: str) -> Int8:
        """An int8 value, whether it stands in the file as such or dequantised."""
        value = self.values.get(name)
        if isinstance(value, Real) and not value.ended:
            return value.of
        if isinstance(value, Int8):
            return value
        if isinstance(value, Pending):
            raise Unsupported(f"{name!r} is float32 between two operators: quantise it")
        if name in self.file.constants or name in self.weights:
            raise Unsupported(f"{name!r} is a constant")
        raise Unsupported(f"{name!r} is not int8, or computed by no operator before it")

    def declare(self, value: str, shape: tuple[int, ...], at: Where, quant: QParams) -> Int8:
        """A new activation of the graph."""
        name = self.a.activation(self.a.unique(self.names.get(value, _plain(value))), shape, quant)
        made = Int8(name, at)
        self.values[value] = made
        return made

    def settle(self, value: str, pending: Pending, quant: QParams) -> None:
        """Appends a pending operator, now that its output has a scale."""
        made = self.declare(value, pending.shape, pending.at, quant)
        pending.emit(made.name, pending.act)

    def give(self, node: Node, pending: Pending) -> None:
        """The result of a node: settled where int8 goes on, else waiting for its QuantizeLinear."""
        output = node.outputs[0]
        if output in self.scales:
            self.settle(output, pending, self.scales[output])
        else:
            self.values[output] = pending

    def constant(self, name: str) -> Weights:
        """A constant, quantised or real."""
        if name in self.weights:
            return self.weights[name]
        if name in self.file.constants:
            return Weights(name, self.file.constants[name], None, np.zeros(1, np.int8))
        raise Unsupported(f"{name!r} is not constant")

    def is_constant(self, name: str) -> bool:
        """Whether a name stands for a constant."""
        return name in self.weights or name in self.file.constants

    def ints(self, name: str) -> list[int]:
        """A small constant vector: a shape, axes, pads."""
        data = self.file.constants.get(name)
        if data is None or data.dtype.kind != "i" or data.size > 64:
            raise Unsupported(f"{name!r} is no constant vector")
        return [int(n) for n in data.reshape(-1)]

    def number(self, name: str) -> float:
        """One constant number."""
        data = self.file.constants.get(name)
        if data is None or data.size != 1:
            raise Unsupported(f"{name!r} is no constant number")
        return float(data.reshape(-1)[0])

    def quant(self, scale: str, zero_point: str) -> QParams:
        """Per-tensor parameters from the names of two constants."""
        s, z = self.file.constants.get(scale), self.file.constants.get(zero_point)
        if s is None or (zero_point and z is None):
            raise Unsupported("its scale or zero point is not constant")
        if z is None or z.dtype != np.int8 or z.size != 1:
            kind = "uint8" if z is None else z.dtype.name
            raise Unsupported(f"{kind} activations, not int8")
        return parameters(s, int(z.reshape(-1)[0]))

    def fresh(self, value: str, shape: tuple[int, ...]) -> Where:
        """The layout of a new 4-D value of the file: NHWC where a Transpose to NCHW is all that reads it."""
        if len(shape) != 4:
            return Where()
        readers = self.file.readers(value)
        to_nchw = [r for r in readers if r.kind == "Transpose" and r.ints("perm") == NCHW_FROM_NHWC]
        ends = value in self.file.outputs
        return Where("nhwc" if ends or (readers and len(to_nchw) == len(readers)) else "nchw")

    def leads_out(self, value: str) -> bool:
        """True for the last value of the network, or the last but for Q and DQ behind it."""
        readers = self.file.readers(value)
        if value in self.file.outputs:
            return not readers
        if len(readers) != 1 or readers[0].kind not in ("QuantizeLinear", "DequantizeLinear"):
            return False
        return len(readers[0].outputs) == 1 and self.leads_out(readers[0].outputs[0])


def as_nhwc(shape: tuple[int, ...], at: Where) -> tuple[int, ...]:
    """The graph's shape of a value of the file."""
    return (shape[0], shape[2], shape[3], shape[1]) if at.layout == "nchw" and len(shape) == 4 else shape


def order_matters(shape_NHWC: tuple[int, ...]) -> bool:
    """True when NHWC and NCHW lay the values out differently."""
    return len(shape_NHWC) == 4 and shape_NHWC[3] > 1 and shape_NHWC[1] * shape_NHWC[2] > 1


def with_act(pending: Pending, act: FileAct) -> Pending:
    """A pending operator that ends in an activation."""
    if pending.act not in ("none", act):
        raise Unsupported(f"{act} after {pending.act}")
    return replace(pending, act=act)


def _plain(value: str) -> str:
    for suffix in _SUFFIXES:
        if value.endswith(suffix) and len(value) > len(suffix):
            return value.removesuffix(suffix)
    return value


def _names(file: OnnxFile) -> dict[str, str]:
    """By value, how the graph calls it: values that differ by a Transpose only are one tensor.

    An input's or output's name comes first, then one that the file declares, then the first.
    """
    group: dict[str, list[str]] = {}
    for node in file.nodes:
        if node.kind == "Transpose" and len(node.inputs) == len(node.outputs) == 1:
            members = group.setdefault(node.inputs[0], [node.inputs[0]])
            members.append(node.outputs[0])
            group[node.outputs[0]] = members
    border = {value.name for value in file.inputs} | set(file.outputs)
    chosen = {}
    for value, members in group.items():
        declared = [m for m in members if m in border] or [m for m in members if m in file.shown]
        chosen[value] = (declared or [_plain(members[0])])[0]
    return chosen
