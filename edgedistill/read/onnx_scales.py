"""Finds the scale of every int8 value of an .onnx file, which gives scales to operators, not to tensors."""

from __future__ import annotations

from collections.abc import Mapping

from edgedistill.ir.graph import QParams
from edgedistill.read.assemble import Unsupported, parameters
from edgedistill.read.onnx_file import Node, OnnxFile

# Kind -> (inputs that are values, their scale; the output's scale): the zero point follows the scale.
_GIVEN: Mapping[str, tuple[tuple[tuple[int, int], ...], int | None]] = {
    "QuantizeLinear": ((), 1),
    "DequantizeLinear": (((0, 1),), None),
    "QLinearConv": (((0, 1),), 6),
    "QGemm": (((0, 1),), 7),
    "QLinearMatMul": (((0, 1),), 6),
    "QLinearAdd": (((0, 1), (3, 4)), 6),
    "QLinearMul": (((0, 1), (3, 4)), 6),
    "QLinearSigmoid": (((0, 1),), 3),
    "QLinearLeakyRelu": (((0, 1),), 3),
    "QLinearSoftmax": (((0, 1),), 3),
    "QLinearGlobalAveragePool": (((0, 1),), 3),
    "QLinearAveragePool": (((0, 1),), 3),
}
MOVES = ("MaxPool", "Concat", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity")
"""Kinds whose int8 outputs have the scale of their inputs."""


def scales(file: OnnxFile, remarks: object) -> dict[str, QParams]:
    """By name, the parameters of int8 values: from the operators around them, else from our own remarks."""
    found: dict[str, QParams] = {}

    def note(value: str, node: Node, position: int) -> None:
        scale, zero = file.constants.get(node.input(position)), file.constants.get(node.input(position + 1))
        if (
            value in found
            or value in file.constants
            or scale is None
            or zero is None
            or zero.dtype.name != "int8"
        ):
            return
        try:
            found[value] = parameters(scale, int(zero.reshape(-1)[0]) if zero.size == 1 else 999)
        except Unsupported:
            return  # per-channel, or no scale at all: whoever reads the value says so

    for node in file.nodes:
        if len(node.outputs) != 1:
            continue
        if node.kind == "QLinearConcat":
            note(node.outputs[0], node, 0)
            for position in range(2, len(node.inputs), 3):
                note(node.inputs[position], node, position + 1)
        pairs, output = _GIVEN.get(node.kind, ((), None))
        for position, scale in pairs:
            if node.input(position):
                note(node.input(position), node, scale)
        if output is not None:
            note(node.outputs[0], node, output)
    for name, quant in _remarked(file, remarks).items():
        found.setdefault(name, quant)
    _spread(file, found)
    return found


def _spread(file: OnnxFile, found: dict[str, QParams]) -> None:
    """Along operators that only move values, both ways, until nothing is new."""
    movers = [node for node in file.nodes if node.kind in MOVES and len(node.outputs) == 1]
    for _ in range(len(movers) + 1):
        before = len(found)
        for nodes in (movers, movers[::-1]):
            for node in nodes:
                values = node.inputs if node.kind == "Concat" else node.inputs[:1]
                members = [v for v in (*values, *node.outputs) if v not in file.constants]
                known = next((found[v] for v in members if v in found), None)
                if known is not None:
                    for value in members:
                        found.setdefault(value, known)
        if len(found) == before:
            return


def _remarked(file: OnnxFile, remarks: object) -> dict[str, QParams]:
    """Of inputs and tables, which our own printer writes down; of the first input, its own property too."""
    found = {}
    given = remarks if isinstance(remarks, dict) else {}
    for name, remark in given.items():
        if isinstance(remark, dict) and {"scale", "zero_point"} <= remark.keys():
            found.update(_made(str(name), remark["scale"], remark["zero_point"]))
    for value in file.inputs[:1]:
        if value.dtype == "INT8" and value.name not in found:
            properties = file.properties
            found.update(_made(value.name, properties.get("input_scale"), properties.get("input_zero_point")))
    return found


def _made(name: str, scale: object, zero_point: object) -> dict[str, QParams]:
    try:
        quant = parameters([float(str(scale))], int(str(zero_point)))
    except (ValueError, OverflowError, Unsupported):
        return {}
    return {name: quant, f"{name}/NCHW": quant}
