"""TFLite operators that compute nothing: borders, shapes, padding, joining, and the steps of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edgedistill.ir import ops
from edgedistill.read.assemble import Unsupported
from edgedistill.read.functions import function_of
from edgedistill.read.tflite_file import FileOp, FileTensor
from edgedistill.read.tflite_state import Padded, State


def move(state: State, x: str, y: str, emit: Callable[[str], None]) -> None:
    """An operator that only moves values: requantised before it where its scales are not equal."""
    if not state.a.moves(x, y):
        scaled = state.a.activation(state.a.unique(f"{y}/scaled"), state.a.shape(x), state.a.quant(y))
        state.a.requantise(x, scaled)
        x = scaled
    emit(x)


def _concat(state: State, op: FileOp) -> None:
    y = state.output(op)
    inputs: list[str] = []
    rank = len(state.a.shape(y))
    axis = int(op.options["Axis"])
    if state.act(op) != "none" or axis % rank == 0 or not -rank <= axis < rank:
        raise Unsupported(f"axis {axis} with activation {state.act(op)}")
    for position in range(len(op.inputs)):
        x = state.x(op, position)
        move(state, x, y, inputs.append)
    state.a.emit(ops.Concat(axis % rank), inputs, y)


def _reshape(state: State, op: FileOp) -> None:
    x, y = state.x(op), state.output(op)
    if np.prod(state.a.shape(x)) != np.prod(state.a.shape(y)):
        raise Unsupported(f"{list(state.a.shape(x))} cannot become {list(state.a.shape(y))}")
    move(state, x, y, lambda source: state.a.emit(ops.Reshape(), (source,), y))


def _pad(state: State, op: FileOp) -> None:
    x = state.x(op)
    state.image(x)
    amounts = state.constant_ints(op, 1)
    if len(amounts) != 8 or min(amounts) < 0 or amounts[:2] != [0, 0] or amounts[6:] != [0, 0]:
        raise Unsupported(f"amounts {amounts}: only height and width can be padded")
    value = state.a.quant(x).zero_point
    if op.kind == "PADV2":
        tensor = state.tensor(op, 2)
        if tensor.data is None or tensor.dtype != "INT8" or tensor.data.size != 1:
            raise Unsupported("its value is no int8 constant")
        value = int(tensor.data.reshape(-1)[0])
    top, bottom, left, right = amounts[2:6]
    h, w, c = state.image(x)
    wanted = (h + top + bottom, w + left + right, c)
    if state.file.tensors[op.outputs[0]].shape[1:] != wanted or max(amounts) > 4096:
        raise Unsupported(f"amounts {amounts} do not give {list(state.file.tensors[op.outputs[0]].shape)}")
    state.padded[op.outputs[0]] = Padded(x, (top, bottom, left, right), value)


def _softmax(state: State, op: FileOp) -> None:
    if not state.leads_out(op.outputs[0]):
        raise Unsupported(
            "a softmax that is not the last operator; no int8 form of it is the same in all runtimes"
        )
    x = state.x(op)
    state.alias[op.outputs[0]] = x
    state.a.note_softmax(x)


def _cast(state: State, op: FileOp) -> None:
    if state.file.tensors[op.outputs[0]].dtype != "INT32":
        raise Unsupported("only to int32, as the index of a table")
    state.wide[op.outputs[0]] = state.x(op)


def is_index(state: State, op: FileOp) -> bool:
    """An int32 ADD of 128: the second step of CAST, ADD 128, GATHER."""
    source = next((state.wide[i] for i in op.inputs if i in state.wide), None)
    if source is None:
        return False
    constants = [state.file.tensors[i].data for i in op.inputs if i >= 0 and i not in state.wide]
    if len(constants) != 1 or constants[0] is None or constants[0].reshape(-1).tolist() != [128]:
        raise Unsupported("int32, and not the index of a table of 256 entries")
    state.index[op.outputs[0]] = source
    return True


def _gather(state: State, op: FileOp) -> None:
    table = state.tensor(op, 0)
    source = state.index.get(op.inputs[1]) if len(op.inputs) > 1 else None
    fits = table.data is not None and table.dtype == "INT8" and table.shape == (256,)
    if source is None or not fits or op.options["Axis"] or op.options["BatchDims"]:
        raise Unsupported("not a table of 256 int8 entries read at CAST + 128")
    assert table.data is not None
    y = state.output(op)
    quant, quant_y = state.quant(op.inputs[0]) if len(table.scale) else None, state.a.quant(y)
    name = state.a.constant(table.name, table.data, quant)
    state.a.emit(ops.Table(function_of(table.data, state.a.quant(source), quant_y)), (source, name), y)


def _quantize(state: State, op: FileOp) -> None:
    source, target = state.tensor(op, 0), state.file.tensors[op.outputs[0]]
    if op.inputs[0] in state.file.inputs and source.dtype in ("FLOAT32", "UINT8"):
        _enter(state, op, source)
    elif target.dtype == "INT8":
        x, y = state.x(op), state.output(op)
        state.a.requantise(x, y)
    elif state.is_last(op.outputs[0]):
        _leave(state, op)
    else:
        raise Unsupported(f"from {source.dtype.lower()} to {target.dtype.lower()} inside the network")


def _enter(state: State, op: FileOp, source: FileTensor) -> None:
    y = state.output(op)
    q = state.a.quant(y)
    if op.inputs[0] in state.entered:
        raise Unsupported(f"the input {source.name!r} is quantised a second time")
    state.entered[op.inputs[0]] = y
    how = f"round(x / {float(q.scale[0]):.9g}) + {q.zero_point}"
    if source.dtype == "UINT8":
        own = source.scale[0] if len(source.scale) else np.float32(0)
        zero = int(source.zero_point[0]) if len(source.zero_point) else 0
        if own != q.scale[0] or zero != q.zero_point + 128:
            raise Unsupported("the uint8 input has another scale than the int8 network behind it")
        how = "x - 128"
    state.a.notes.append(f"the file's {source.dtype.lower()} input x becomes int8: q = {how}")


def _leave(state: State, op: FileOp) -> None:
    """QUANTIZE or DEQUANTIZE as the last operator: the network ends before it."""
    if not state.is_last(op.outputs[0]):
        raise Unsupported("inside the network: what follows is computed in float32")
    x = state.x(op)
    state.alias[op.outputs[0]] = x
    q, outside = state.a.quant(x), state.file.tensors[op.outputs[0]].dtype.lower()
    how = f"{float(q.scale[0]):.9g} * (q - {q.zero_point})" if outside == "float32" else "q + 128"
    state.a.notes.append(f"the file's {outside} output is left int8: it was {how}")


MOVES: Mapping[str, Callable[[State, FileOp], None]] = {
    "CONCATENATION": _concat,
    "RESHAPE": _reshape,
    "SQUEEZE": _reshape,
    "EXPAND_DIMS": _reshape,
    "PAD": _pad,
    "PADV2": _pad,
    "SOFTMAX": _softmax,
    "CAST": _cast,
    "GATHER": _gather,
    "QUANTIZE": _quantize,
    "DEQUANTIZE": _leave,
}
