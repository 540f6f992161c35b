"""Reads a full-integer .tflite, whoever converted it, into the integer graph.

What the graph has no operator for is put into words it has, without changing what is computed
more than the notes say: pooling becomes a constant depthwise convolution, unary functions and
clamps become tables, SAME and PAD become explicit pads, a final SOFTMAX is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from edgedistill.errors import InputError
from edgedistill.read import Loaded, checked, remarks
from edgedistill.read.assemble import Assembly, Unsupported
from edgedistill.read.tflite_file import FileOp, FileTensor, TfliteFile, parse
from edgedistill.read.tflite_ops import HANDLERS
from edgedistill.read.tflite_state import State

_SHOWN = 60  # letters of a name in a message: converters join the names of all layers that they fuse


def from_bytes(data: bytes, where: str) -> Loaded:
    """The network of a file.

    Args:
        data: the whole file.
        where: what to call it in errors.

    Raises:
        InputError: it is no .tflite, is damaged, or is no int8 network of fixed shape.
        UnsupportedOpError: it has operators that the graph has not; all of them are named.
    """
    file = parse(data, where)
    _refuse_other_types(file, where)
    state = State(file, Assembly(file.name, where))
    inputs = [_enter(state, index) for index in file.inputs]
    for op in file.ops:
        _read_op(state, op)
    outputs = [_leave(state, index) for index in file.outputs]
    named = [name or state.entered.get(index) for name, index in zip(inputs, file.inputs, strict=True)]
    graph = state.a.graph([n for n in named if n], outputs, file.labels)
    graph = remarks.apply(graph, _remarks(file.metadata))
    return Loaded(checked(graph, where), tuple(state.a.notes))


def _enter(state: State, index: int) -> str | None:
    """The graph's input; None where a QUANTIZE stands before the int8 network."""
    tensor = state.file.tensors[index]
    if tensor.dtype in ("FLOAT32", "UINT8"):
        return None
    try:
        return state.declare(index)
    except Unsupported as reason:
        raise InputError(
            f"the input cannot be used: {reason}",
            where=f"{state.a.where}, {tensor.name!r}",
            fix="convert the network with int8 inputs of a fixed shape and batch 1",
        ) from None


def _leave(state: State, index: int) -> str:
    """The graph's output; empty where nothing computes it."""
    try:
        return state.activation(index)
    except Unsupported as reason:
        if not state.a.problems:
            state.a.problems.append(f"output: {reason}")
        return ""


def _read_op(state: State, op: FileOp) -> None:
    """Appends one operator, or a line to the list of problems."""
    handler = HANDLERS.get(op.kind)
    try:
        if len(op.outputs) != 1:
            raise Unsupported(f"{len(op.outputs)} outputs")
        if handler is None:
            raise Unsupported("the graph has no such operator")
        handler(state, op)
    except Unsupported as reason:
        name = state.file.tensors[op.outputs[0]].name if op.outputs else ""
        shown = name if len(name) <= _SHOWN else f"{name[: _SHOWN - 1]}…"
        state.a.problems.append(f"#{op.index} {op.kind} {shown!r}: {reason}")
        for index in op.outputs:  # so that what reads it is judged on its own
            state.declare_anyway(index)


def _refuse_other_types(file: TfliteFile, where: str) -> None:
    """One clear word where the whole network is of another kind, instead of a list of all its operators."""
    for tensor in file.tensors:
        if tensor.data is None and _is_open(tensor) and _is_used(file, tensor):
            raise InputError(
                f"{tensor.name!r} has a dynamic shape: {_shape(tensor)}",
                where=where,
                fix="convert the network with a fixed input shape; only the batch may stay open",
            )
    inner = [op for op in file.ops if op.kind not in ("QUANTIZE", "DEQUANTIZE")] or file.ops
    kinds = {file.tensors[i].dtype for op in inner for i in op.outputs}
    if "INT8" in kinds:
        return
    if "UINT8" in kinds:
        what = "this network has uint8 activations, the older asymmetric scheme with asymmetric weights"
        fix = "convert it again with int8: inference_input_type = tf.int8 and TFLITE_BUILTINS_INT8"
    elif "INT16" in kinds:
        what, fix = "this network has int16 activations", "convert it with int8 activations"
    elif any(t.dtype == "INT8" and t.data is not None for t in file.tensors):
        what = "this network has int8 weights but float32 activations (dynamic-range quantisation)"
        fix = "convert it again with a representative_dataset and TFLITE_BUILTINS_INT8"
    else:
        what = "this is a float32 network; only int8 ones are compiled"
        fix = "convert it with a representative_dataset, or distil it: edgedistill build --teacher"
    raise InputError(what, where=where, fix=fix)


def _is_open(tensor: FileTensor) -> bool:
    return -1 in tensor.shape[1:] or 0 in tensor.shape


def _is_used(file: TfliteFile, tensor: FileTensor) -> bool:
    index = file.tensors.index(tensor)
    return index in file.inputs or any(index in op.outputs for op in file.ops)


def _shape(tensor: FileTensor) -> str:
    return "[" + ", ".join("?" if n == -1 else str(n) for n in tensor.shape) + "]"


def _remarks(metadata: Mapping[str, bytes]) -> object:
    """What our own printer wrote beside the operators; None in other files."""
    try:
        value = json.loads(metadata.get("edgedistill", b"null"))
    except (ValueError, RecursionError):
        return None
    return value.get("operators") if isinstance(value, dict) else None
