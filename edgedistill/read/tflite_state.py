"""What reading a .tflite operator by operator remembers: which tensor of the file is which of the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgedistill.ir.graph import QParams
from edgedistill.ir.ops import Pads
from edgedistill.read.assemble import Assembly, FileAct, Unsupported, parameters
from edgedistill.read.tflite_file import FileOp, FileTensor, TfliteFile

# Numbers of the schema's ActivationFunctionType
_ACTS: Mapping[int, FileAct] = {0: "none", 1: "relu", 2: "relu_n1_to_1", 3: "relu6"}


@dataclass(frozen=True)
class Padded:
    """What a PAD gives: ``source`` of the graph, padded with the int8 ``value``."""

    source: str
    pads: Pads
    value: int


class State:
    """The file, the graph so far, and values in between that the graph does not have."""

    def __init__(self, file: TfliteFile, assembly: Assembly) -> None:
        self.file = file
        self.a = assembly
        self.alias: dict[int, str] = {}  # tensor of the file -> activation of the graph
        self.entered: dict[int, str] = {}  # float32 or uint8 input of the file -> the graph's input
        self.padded: dict[int, Padded] = {}
        self.wide: dict[int, str] = {}  # int32 copies of int8 activations, before + 128
        self.index: dict[int, str] = {}  # the same after + 128: indices of a table

    def declare(self, index: int) -> str:
        """The activation that stands for an int8 tensor of the file."""
        tensor = self.file.tensors[index]
        if tensor.dtype != "INT8":
            raise Unsupported(f"{tensor.name!r} is {tensor.dtype.lower()}, not int8")
        if tensor.data is not None:
            raise Unsupported(f"{tensor.name!r} is a constant")
        name = self.a.activation(self.a.unique(tensor.name), _batch_1(tensor), self.quant(index))
        self.alias[index] = name
        return name

    def act(self, op: FileOp) -> FileAct:
        """The activation that is fused into an operator."""
        act = _ACTS.get(int(op.options["FusedActivationFunction"]))
        if act is None:
            raise Unsupported("its fused activation is none of RELU, RELU6, RELU_N1_TO_1")
        return act

    def image(self, x: str) -> tuple[int, int, int]:
        """Height, width and channels of an activation."""
        shape = self.a.shape(x)
        if len(shape) != 4:
            raise Unsupported(f"its input {list(shape)} is not [1,H,W,C]")
        return shape[1], shape[2], shape[3]

    def declare_anyway(self, index: int) -> None:
        """As ``declare``, where the operator before it failed already."""
        if index in self.alias:
            return
        try:
            self.declare(index)
        except Unsupported:
            return

    def output(self, op: FileOp) -> str:
        """The activation that the operator writes."""
        return self.declare(op.outputs[0])

    def quant(self, index: int) -> QParams:
        """Per-tensor parameters of an activation."""
        tensor = self.file.tensors[index]
        zero = int(tensor.zero_point[0]) if len(tensor.zero_point) else 0
        return parameters(tensor.scale, zero)

    def tensor(self, op: FileOp, position: int) -> FileTensor:
        """The operator's input as the file describes it."""
        if position >= len(op.inputs) or op.inputs[position] < 0:
            raise Unsupported(f"input {position} is missing")
        return self.file.tensors[op.inputs[position]]

    def x(self, op: FileOp, position: int = 0) -> str:
        """The operator's input as an activation of the graph."""
        self.tensor(op, position)
        return self.activation(op.inputs[position])

    def activation(self, index: int) -> str:
        """What a tensor of the file is in the graph; a PAD that nobody took along becomes an operator."""
        tensor = self.file.tensors[index]
        if index in self.alias:
            return self.alias[index]
        if index in self.padded:
            padded, y = self.padded[index], self.declare(index)
            if padded.value != self.a.quant(y).zero_point or not self.a.moves(padded.source, y):
                raise Unsupported(f"{tensor.name!r} is padded with {padded.value}, which is not real zero")
            self.a.pad(padded.source, y, padded.pads)
            return y
        if tensor.data is not None:
            raise Unsupported(f"{tensor.name!r} is a constant")
        raise Unsupported(f"{tensor.name!r} is {tensor.dtype.lower()}, or computed by no operator before it")

    def x_padded(self, op: FileOp, value: int | None = None) -> tuple[str, Pads]:
        """The input of a window, and the pads of a PAD with ``value`` (None: real zero) before it."""
        self.tensor(op, 0)
        padded = self.padded.get(op.inputs[0])
        if padded is None:
            return self.x(op), (0, 0, 0, 0)
        wanted = self.a.quant(padded.source).zero_point if value is None else value
        if padded.value == wanted:
            return padded.source, padded.pads
        return self.x(op), (0, 0, 0, 0)

    def operand(self, op: FileOp, position: int, shape: tuple[int, ...]) -> str:
        """An operand of ADD or MUL: an activation, or a constant spread to ``shape``."""
        tensor = self.tensor(op, position)
        if tensor.data is None:
            return self.x(op, position)
        if tensor.dtype != "INT8":
            raise Unsupported(f"{tensor.name!r} is {tensor.dtype.lower()}, not int8")
        try:
            data = np.broadcast_to(tensor.data, shape)
        except ValueError:
            raise Unsupported(f"{tensor.name!r} {list(tensor.shape)} does not fit {list(shape)}") from None
        return self.a.constant(tensor.name, np.ascontiguousarray(data), self.quant(op.inputs[position]))

    def constant_ints(self, op: FileOp, position: int) -> list[int]:
        """A small constant vector: a shape, axes, amounts of padding."""
        tensor = self.tensor(op, position)
        if tensor.data is None or tensor.dtype not in ("INT32", "INT64") or tensor.data.size > 64:
            raise Unsupported(f"{tensor.name!r} is no constant vector")
        return [int(n) for n in tensor.data.reshape(-1)]

    def is_last(self, index: int) -> bool:
        """True for an output of the network that no operator reads."""
        return index in self.file.outputs and not any(index in op.inputs for op in self.file.ops)

    def leads_out(self, index: int) -> bool:
        """True for the last value of the network, or the last but a DEQUANTIZE or QUANTIZE."""
        readers = [op for op in self.file.ops if index in op.inputs]
        if not readers:
            return index in self.file.outputs
        only = readers[0]
        leaves = only.kind in ("DEQUANTIZE", "QUANTIZE", "RESHAPE") and len(only.outputs) == 1
        return (
            len(readers) == 1
            and index not in self.file.outputs
            and leaves
            and self.leads_out(only.outputs[0])
        )


def _batch_1(tensor: FileTensor) -> tuple[int, ...]:
    shape = tensor.shape
    if not shape:
        raise Unsupported(f"{tensor.name!r} has no dimensions")
    if shape[0] not in (1, -1):
        raise Unsupported(f"{tensor.name!r} {list(shape)} has a fixed batch of {shape[0]}, not 1")
    return (1, *shape[1:])
