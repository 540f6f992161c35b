"""ONNX operators that compute nothing: quantisation's borders, layouts, shapes, and the steps of a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from edgedistill.ir import ops
from edgedistill.ir.graph import QParams
from edgedistill.read.assemble import FileAct, Unsupported
from edgedistill.read.functions import function_of
from edgedistill.read.onnx_file import Node
from edgedistill.read.onnx_state import (
    NCHW_FROM_NHWC,
    NHWC_FROM_NCHW,
    Index,
    Int8,
    Pending,
    Real,
    State,
    Weights,
    Where,
    as_nhwc,
    order_matters,
)

_INT32 = 6  # TensorProto.DataType


def _quantize(state: State, node: Node) -> None:
    source, y = node.input(0), node.outputs[0]
    quant = state.quant(node.input(1), node.input(2))
    value = state.values.get(source)
    if isinstance(value, Pending):
        state.settle(y, value, quant)
    elif isinstance(value, Real):
        _again(state, value, y, quant)
    elif any(border.name == source for border in state.file.inputs):
        _enter(state, source, y, quant)
    else:
        raise Unsupported(f"{source!r} is not computed by an operator before it")


def _again(state: State, value: Real, y: str, quant: QParams) -> None:
    """DequantizeLinear and QuantizeLinear in a row: nothing, or a change of scale."""
    if value.ended:
        state.values[y] = value
        return
    own = state.a.quant(value.of.name)
    if own.scale[0] == quant.scale[0] and own.zero_point == quant.zero_point:
        state.values[y] = value.of
        return

    def emit(target: str, act: FileAct) -> None:
        state.a.requantise(value.of.name, target)

    state.settle(y, Pending(state.a.shape(value.of.name), value.of.at, emit), quant)


def _enter(state: State, source: str, y: str, quant: QParams) -> None:
    """The float32 input of the file: the graph begins behind its QuantizeLinear."""
    if source in state.entered:
        raise Unsupported(f"the input {source!r} is quantised a second time")
    shape = next(border.shape for border in state.file.inputs if border.name == source)
    at = state.fresh(y, shape)
    readers = [r for r in state.file.readers(y) if r.kind == "DequantizeLinear"]
    if readers and len(shape) == 4:  # Q, DQ and only then, perhaps, a Transpose to NCHW
        at = state.fresh(readers[0].outputs[0], shape)
    made = state.declare(y, as_nhwc(shape, at), at, quant)
    state.entered[source] = made.name
    how = f"q = round(x / {float(quant.scale[0]):.9g}) + {quant.zero_point}"
    turned = ", and NCHW becomes NHWC" if at.layout == "nchw" else ""
    state.a.notes.append(f"the file's float32 input x becomes int8: {how}{turned}")


def _dequantize(state: State, node: Node) -> None:
    source, y = node.input(0), node.outputs[0]
    if source in state.file.constants:
        scale, zero = (state.file.constants.get(node.input(i)) for i in (1, 2))
        if scale is None:
            raise Unsupported("its scale is not constant")
        state.weights[y] = Weights(
            source,
            state.file.constants[source],
            np.asarray(scale, np.float32).reshape(-1),
            np.zeros(1, np.int8) if zero is None else zero,
        )
        return
    value = state.values.get(source)
    if isinstance(value, Real) and value.ended:
        state.values[y] = value
        return
    x = state.int8(source)
    own, quant = state.a.quant(x.name), state.quant(node.input(1), node.input(2))
    if own.scale[0] != quant.scale[0] or own.zero_point != quant.zero_point:
        raise Unsupported(f"{source!r} is dequantised with another scale than it was quantised with")
    state.values[y] = Real(x)


def _transpose(state: State, node: Node) -> None:
    value = state.values.get(node.input(0))
    x = state.int8(node.input(0))
    perm, rank = node.ints("perm"), len(state.a.shape(x.name))
    if perm == tuple(range(rank)):
        at = x.at
    elif (perm, x.at.layout, rank) == (NCHW_FROM_NHWC, "nhwc", 4):
        at = Where("nchw")
    elif (perm, x.at.layout, rank) == (NHWC_FROM_NCHW, "nchw", 4):
        at = Where("nhwc")
    else:
        raise Unsupported(f"perm {perm} of a value in {x.at.layout.upper()}")
    moved_value = Int8(x.name, at)
    state.values[node.outputs[0]] = Real(moved_value) if isinstance(value, Real) else moved_value


def _identity(state: State, node: Node) -> None:
    value = state.values.get(node.input(0))
    if value is None:
        raise Unsupported(f"{node.input(0)!r} is computed by no operator before it")
    state.values[node.outputs[0]] = value


def _reshape(state: State, node: Node) -> None:
    """Reshape, Flatten, Squeeze, Unsqueeze: the graph reshapes in NHWC order."""
    x = state.int8(node.input(0))
    shape = state.a.shape(x.name)
    seen = (shape[0], shape[3], shape[1], shape[2]) if x.at.layout == "nchw" and len(shape) == 4 else shape
    wanted = _wanted(state, node, seen)
    if wanted[:1] != (1,) or math.prod(wanted) != math.prod(shape):
        raise Unsupported(f"{list(seen)} cannot become {list(wanted)} (the batch is kept)")
    if wanted == seen:
        state.values[node.outputs[0]] = state.values[node.input(0)]
        return
    at = state.fresh(node.outputs[0], wanted)
    if x.at.chw is not None:
        raise Unsupported("a flattened image is shaped again")
    if x.at.layout == "nchw" and order_matters(shape):
        if len(wanted) != 2:
            raise Unsupported(f"{list(seen)} in NCHW becomes {list(wanted)}")
        at = Where(chw=(shape[3], shape[1], shape[2]))
    target = as_nhwc(wanted, at)
    if at.layout == "nchw" and order_matters(target):
        raise Unsupported(f"{list(seen)} becomes an image {list(wanted)} in NCHW")

    def emit(y: str, act: FileAct) -> None:
        source = x.name
        if act != "none":
            raise Unsupported(f"{act} behind a change of shape")
        if not state.a.moves(source, y):
            source = state.a.activation(state.a.unique(f"{y}/scaled"), shape, state.a.quant(y))
            state.a.requantise(x.name, source)
        state.a.emit(ops.Reshape(), (source,), y)

    state.give(node, Pending(target, at, emit))


def _wanted(state: State, node: Node, seen: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that the file asks for, with batch 1."""
    rank = len(seen)
    if node.kind == "Flatten":
        if int(node.number("axis", 1)) != 1:
            raise Unsupported(f"axis {node.number('axis', 1):g}")
        return 1, math.prod(seen[1:])
    if node.kind == "Reshape":
        dims = state.ints(node.input(1))
        known = [seen[i] if d == 0 and i < rank else d for i, d in enumerate(dims)]
        if known.count(-1) > 1 or any(d == 0 or d < -1 for d in known) or node.number("allowzero", 0):
            raise Unsupported(f"the shape {dims}")
        if -1 in known:
            rest = math.prod(d for d in known if d != -1)
            known[known.index(-1)] = math.prod(seen) // rest
        return tuple(known)
    axes = node.ints("axes") or (tuple(state.ints(node.input(1))) if node.input(1) else ())
    if node.kind == "Squeeze":
        drop = {a % rank for a in axes} or {i for i, n in enumerate(seen) if n == 1 and i}
        if any(seen[i] != 1 for i in drop) or 0 in drop:
            raise Unsupported(f"axes {axes} of {list(seen)}")
        return tuple(n for i, n in enumerate(seen) if i not in drop)
    total = rank + len(axes)
    new = {a % total for a in axes}
    if len(new) != len(axes) or 0 in new:
        raise Unsupported(f"axes {axes}")
    rest_dims = iter(seen)
    return tuple(1 if i in new else next(rest_dims) for i in range(total))


def _cast(state: State, node: Node) -> None:
    if node.number("to", 0) != _INT32 or not isinstance(state.values.get(node.input(0)), Int8):
        raise Unsupported("only from int8 to int32, as the index of a table")
    state.values[node.outputs[0]] = Index(state.int8(node.input(0)), 0)


def is_index(state: State, node: Node) -> bool:
    """An int32 Add of 128: the second step of Cast, Add 128, Gather."""
    source = next((v for v in map(state.values.get, node.inputs) if isinstance(v, Index)), None)
    if source is None:
        return False
    constants = [state.file.constants[n] for n in node.inputs if n in state.file.constants]
    if source.offset or len(constants) != 1 or constants[0].reshape(-1).tolist() != [128]:
        raise Unsupported("int32, and not the index of a table of 256 entries")
    state.values[node.outputs[0]] = Index(source.of, 128)
    return True


def _gather(state: State, node: Node) -> None:
    table, index = state.file.constants.get(node.input(0)), state.values.get(node.input(1))
    fits = table is not None and table.dtype == np.int8 and table.shape == (256,)
    if not isinstance(index, Index) or index.offset != 128 or not fits or node.number("axis", 0):
        raise Unsupported("not a table of 256 int8 entries read at Cast + 128")
    assert table is not None
    if node.outputs[0] not in state.scales:
        raise Unsupported("nothing says what scale its output has")
    x = index.of
    state.give(node, Pending(state.a.shape(x.name), x.at, partial(_emit_table, state, node.input(0), x.name)))


def _emit_table(state: State, table: str, x: str, y: str, act: FileAct) -> None:
    entries = state.file.constants[table]
    name = state.a.constant(table, entries, None)
    state.a.emit(ops.Table(function_of(entries, state.a.quant(x), state.a.quant(y))), (x, name), y)


MOVES: Mapping[str, Callable[[State, Node], None]] = {
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
    "Transpose": _transpose,
    "Identity": _identity,
    "Reshape": _reshape,
    "Flatten": _reshape,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
    "Cast": _cast,
    "Gather": _gather,
}
