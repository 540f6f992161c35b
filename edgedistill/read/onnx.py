"""Reads an int8 .onnx, as QLinear operators or as float operators between Q and DQ, into the integer graph.

ONNX is NCHW inside; the graph is NHWC. Weights are transposed, and Transposes between the two
layouts disappear.
"""

from __future__ import annotations

import json

from edgedistill.errors import InputError
from edgedistill.export.onnx import OPERATORS_KEY
from edgedistill.read import Loaded, checked, remarks
from edgedistill.read.assemble import Assembly, Unsupported
from edgedistill.read.onnx_file import Node, OnnxFile, inferred_shapes, parse
from edgedistill.read.onnx_ops import HANDLERS
from edgedistill.read.onnx_scales import scales
from edgedistill.read.onnx_state import Int8, Pending, Real, State, as_nhwc

_DYNAMIC = ("DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "DynamicQuantizeMatMul")


def from_bytes(data: bytes, where: str) -> Loaded:
    """The network of a file.

    Args:
        data: the whole file.
        where: what to call it in errors.

    Raises:
        InputError: it is no ONNX model, is damaged, or is no int8 network of fixed shape.
        UnsupportedOpError: it has operators that the graph has not; all of them are named.
    """
    file = parse(data, where)
    _refuse_other_types(file, where)
    said = _json(file.properties.get(OPERATORS_KEY))
    state = State(file, Assembly(file.name, where), scales(file, said))
    inputs = [_enter(state, index, where) for index in range(len(file.inputs))]
    for node in file.nodes:
        if not _read_node(state, node):
            _declare_anyway(state, node, data)
    outputs = [_leave(state, name) for name in file.outputs]
    named = [name or state.entered.get(border.name) for name, border in zip(inputs, file.inputs, strict=True)]
    graph = state.a.graph([n for n in named if n], [n for n in outputs if n], _labels(file))
    return Loaded(checked(remarks.apply(graph, said), where), tuple(state.a.notes))


def _enter(state: State, index: int, where: str) -> str | None:
    """The graph's input; None for a float32 one, which a QuantizeLinear follows."""
    border = state.file.inputs[index]
    if border.dtype == "FLOAT":
        return None
    quant = state.scales.get(border.name)
    if border.dtype != "INT8" or quant is None:
        what = f"is {border.dtype.lower()}" if border.dtype != "INT8" else "has no scale that the file gives"
        raise InputError(
            f"the input {border.name!r} {what}",
            where=where,
            fix="export the network with int8 or float32 inputs",
        )
    at = state.fresh(border.name, border.shape)
    if at.layout == "nchw":
        state.a.notes.append(f"the input {border.name!r} becomes NHWC; in the file it is NCHW")
    return state.declare(border.name, as_nhwc(border.shape, at), at, quant).name


def _leave(state: State, name: str) -> str | None:
    """The graph's output; what the file makes float32 at its end stays int8."""
    value = state.values.get(name)
    if isinstance(value, Real):
        q = state.a.quant(value.of.name)
        if not value.ended:
            how = f"{float(q.scale[0]):.9g} * (q - {q.zero_point})"
            state.a.notes.append(f"the file's float32 output is left int8: it was {how}")
        value = value.of
    if isinstance(value, Int8):
        if value.at.layout == "nchw":
            state.a.notes.append(f"the output {value.name!r} becomes NHWC; in the file it is NCHW")
        if value.at.chw is not None:
            state.a.problems.append(f"output {name!r}: a flattened image in NCHW order")
        return value.name
    if isinstance(value, Pending):
        state.a.problems.append(f"output {name!r}: the last operator has no quantised output")
    elif not state.a.problems:
        state.a.problems.append(f"output {name!r}: it is computed by no operator")
    return None


def _read_node(state: State, node: Node) -> bool:
    """Appends one operator, or a line to the list of problems; tells which."""
    handler = HANDLERS.get(node.kind)
    try:
        if len(node.outputs) != 1:
            raise Unsupported(f"{len(node.outputs)} outputs")
        if handler is None:
            raise Unsupported("the graph has no such operator")
        handler(state, node)
        return True
    except Unsupported as reason:
        if handler is None or not _follows(state, node):
            name = node.outputs[0] if node.outputs else node.name
            state.a.problems.append(f"#{node.index} {node.kind} {name!r}: {reason}")
        return False


def _follows(state: State, node: Node) -> bool:
    """Whether a node only fails because one before it did: its input is nowhere."""
    known = state.values.keys() | state.weights.keys() | state.file.constants.keys()
    borders = {border.name for border in state.file.inputs}
    missing = [n for n in node.inputs if n and n not in known and n not in borders]
    return bool(missing) and bool(state.a.problems)


def _declare_anyway(state: State, node: Node, data: bytes) -> None:
    """The output of a node that failed, so that what reads it is judged on its own."""
    if not state.shapes:
        state.shapes = inferred_shapes(data)
    for name in node.outputs:
        if name in state.scales and name in state.shapes and name not in state.values:
            shape = state.shapes[name]
            at = state.fresh(name, shape)
            state.declare(name, as_nhwc(shape, at), at, state.scales[name])


def _refuse_other_types(file: OnnxFile, where: str) -> None:
    """One clear word where the whole network is of another kind, instead of a list of its operators."""
    kinds = {node.kind for node in file.nodes}
    dynamic = [kind for kind in _DYNAMIC if kind in kinds]
    if dynamic:
        raise InputError(
            f"this network is quantised dynamically ({', '.join(dynamic)}): its scales are not in the file",
            where=where,
            fix="quantise it statically: onnxruntime.quantization.quantize_static with calibration data",
        )
    if not any(
        kind in ("QuantizeLinear", "DequantizeLinear", "QGemm") or kind.startswith("QLinear")
        for kind in kinds
    ):
        if any(border.dtype == "INT8" for border in file.inputs):
            return  # values are only moved or looked up
        raise InputError(
            "this is a float32 network; only int8 ones are compiled",
            where=where,
            fix="use onnxruntime.quantization.quantize_static, or distil it: edgedistill build --teacher",
        )
    zeros = [_zero_point(file, node) for node in file.nodes if node.kind == "QuantizeLinear"]
    if zeros and all(kind == "uint8" for kind in zeros):
        raise InputError(
            "this network has uint8 activations; only int8 ones are the same in every runtime",
            where=where,
            fix="quantise it with activation_type=QuantType.QInt8 and weight_type=QuantType.QInt8",
        )


def _zero_point(file: OnnxFile, node: Node) -> str:
    zero = file.constants.get(node.input(2))
    return "uint8" if zero is None else str(zero.dtype.name)


def _labels(file: OnnxFile) -> tuple[str, ...]:
    found = _json(file.properties.get("labels"))
    return tuple(found) if isinstance(found, list) and all(isinstance(v, str) for v in found) else ()


def _json(text: str | None) -> object:
    try:
        value: object = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    return value
