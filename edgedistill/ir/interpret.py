"""Runs a graph in NumPy: the meaning that every trainer, printer and runtime is compared with.

Float graphs are computed in float32. Integer graphs are computed in family F or D (see numerics),
their operators on int16 in the one rule that these have in all runtimes (numerics16). Sums of
products are taken by float matrix products, which are exact while they stay below 2**24 in
float32 and 2**53 in float64.

Legend: N batch, H height, W width, C channels, I input channels, O output channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edgedistill.ir import numerics, numerics16, ops
from edgedistill.ir.graph import Graph, Op, QParams, Tensor

Family: TypeAlias = Literal["F", "D"]
Array: TypeAlias = NDArray[Any]

EXACT_FLOAT32 = 2**24
"""Whole numbers below this are exact in float32."""

_COLUMN_BYTES = 32 * 2**20  # a convolution's unfolded input is made in pieces of this size


def run(
    graph: Graph, inputs: Mapping[str, Array], family: Family = "F", keep: bool = False
) -> dict[str, Array]:
    """The graph's outputs, or every activation (inputs too) with ``keep``.

    Args:
        inputs: one array [N, ...] per input; int8 for an integer graph, real numbers for a float one.
        family: the arithmetic of an integer graph; a float graph has only one.
    """
    assert set(inputs) == set(graph.inputs), f"the graph's inputs are {graph.inputs}, not {tuple(inputs)}"
    values: dict[str, Array] = {}
    for name, x in inputs.items():
        tensor = graph.tensors[name]
        assert x.shape[1:] == tensor.shape[1:], f"{name}: {x.shape[1:]} values, not {tensor.shape[1:]}"
        assert not graph.is_integer or x.dtype == tensor.dtype, f"{name}: {x.dtype}, not {tensor.dtype}"
        values[name] = x if graph.is_integer else np.asarray(x, np.float32)
    last_use = {name: i for i, op in enumerate(graph.ops) for name in op.inputs}
    for i, op in enumerate(graph.ops):
        arrays = [values[n] if n in values else _constant(graph.tensors[n]) for n in op.inputs]
        values[op.outputs[0]] = (
            _integer(graph, op, arrays, family) if graph.is_integer else _float(graph, op, arrays)
        )
        if not keep:
            for name in set(op.inputs):
                if last_use[name] == i and name not in graph.outputs:
                    values.pop(name, None)
    wanted = graph.activations() if keep else graph.outputs
    return {name: values[name] for name in wanted}


def run_batched(
    graph: Graph, inputs: Mapping[str, Array], family: Family = "F", keep: bool = False, batch: int = 50
) -> dict[str, Array]:
    """``run`` in pieces of ``batch`` inputs, joined: bounds the memory of values in between."""
    count = len(next(iter(inputs.values())))
    parts = [
        run(graph, {k: v[i : i + batch] for k, v in inputs.items()}, family, keep)
        for i in range(0, max(count, 1), batch)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def apply_function(attrs: ops.Table, x: Array) -> Array:
    """The unary function of a TABLE on real numbers, in the precision of ``x``."""
    result: Array = FUNCTIONS[attrs.fn](x, attrs.alpha)
    return result


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -80, 80))))


def _hardsigmoid(x: Array) -> Array:
    return np.asarray(np.clip(x + 3, 0, 6) / 6)


def _erf(x: Array) -> Array:
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x), x.dtype)


FUNCTIONS: Mapping[str, Callable[[Array, float], Array]] = {
    "sigmoid": lambda x, alpha: _sigmoid(x),
    "tanh": lambda x, alpha: np.tanh(x),
    "gelu": lambda x, alpha: x * 0.5 * (1 + _erf(x / math.sqrt(2))),
    "silu": lambda x, alpha: x * _sigmoid(x),
    "hardswish": lambda x, alpha: x * _hardsigmoid(x),
    "hardsigmoid": lambda x, alpha: _hardsigmoid(x),
    "elu": lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
    "leaky_relu": lambda x, alpha: np.where(x > 0, x, alpha * x),
}


def _constant(tensor: Tensor) -> Array:
    assert tensor.data is not None, f"{tensor.name} is neither computed nor constant"
    return tensor.data


def _quant(graph: Graph, name: str) -> QParams:
    quant = graph.tensors[name].quant
    assert quant is not None, f"{name} has no scale"
    return quant


def _float(graph: Graph, op: Op, x: list[Array]) -> Array:
    attrs = op.attrs
    match attrs:
        case ops.Conv2D() | ops.DepthwiseConv2D() | ops.FullyConnected():
            y = _linear(attrs, x[0], x[1]) + x[2]
        case ops.Add():
            y = x[0] + x[1]
        case ops.Mul():
            y = x[0] * x[1]
        case ops.Table():
            y = apply_function(attrs, x[0])
        case _:
            return _move(graph, op, x)
    act = getattr(attrs, "act", "none")
    if act != "none":
        y = np.clip(y, 0, 6 if act == "relu6" else None)
    return np.asarray(y, np.float32)


def _integer(graph: Graph, op: Op, x: list[Array], family: Family) -> Array:
    attrs, q_y = op.attrs, _quant(graph, op.outputs[0])
    match attrs:
        case ops.Quantize():
            return numerics16.requantise_whole(x[0], _quant(graph, op.inputs[0]), q_y)
        case ops.Add() if q_y.bits == 16:
            return numerics16.add_16(x[0], x[1], q_y, attrs.act)
        case ops.Conv2D() | ops.DepthwiseConv2D() | ops.FullyConnected() if q_y.bits == 16:
            q_x, q_w = _quant(graph, op.inputs[0]), _quant(graph, op.inputs[1])
            acc = accumulate(attrs, x[0], x[1], x[2], 0)
            m = numerics16.multiplier_16(q_x.scale, q_w.scale, q_y.scale)
            return numerics16.requantise_16(acc, m, *numerics16.limits_16(q_y, attrs.act))
        case ops.Conv2D() | ops.DepthwiseConv2D() | ops.FullyConnected():
            q_x, q_w = _quant(graph, op.inputs[0]), _quant(graph, op.inputs[1])
            acc = accumulate(attrs, x[0], x[1], x[2], q_x.zero_point)
            if family == "D":
                return numerics.requantise_d(acc, q_x.scale[0], q_w.scale, q_y.scale[0], q_y.zero_point)
            return numerics.requantise_f(
                acc, numerics.multiplier(q_x.scale, q_w.scale, q_y.scale), q_y.zero_point
            )
        case ops.Add() | ops.Mul():
            q_a, q_b = _quant(graph, op.inputs[0]), _quant(graph, op.inputs[1])
            if isinstance(attrs, ops.Add):
                compute = numerics.add_d if family == "D" else numerics.add_f
            else:
                compute = numerics.mul_d if family == "D" else numerics.mul_f
            return compute(x[0], x[1], q_a, q_b, q_y)
        case ops.Table():
            return np.asarray(x[1][x[0].astype(np.int16) + 128])
        case _:
            return _move(graph, op, x)


def accumulate(attrs: ops.Attrs, x: Array, w: Array, b: Array, zero_point: int) -> Array:
    """``sum((x - zero_point) * w) + b``: whole numbers [..., O] in float32, or float64 where needed."""
    positions = w[..., 0].size if isinstance(attrs, ops.DepthwiseConv2D) else w[0].size
    bound = positions * 127 * (2**15 if x.dtype == np.int16 else 255) + int(
        np.abs(b.astype(np.int64)).max(initial=0)
    )
    kind = np.float32 if bound < EXACT_FLOAT32 else np.float64
    centred = x.astype(kind)
    centred -= kind(zero_point)
    acc = _linear(attrs, centred, w.astype(kind))
    acc += b.astype(kind)
    return acc


def _linear(attrs: ops.Attrs, x: Array, w: Array) -> Array:
    """Sums of products without bias; padding with zero."""
    if isinstance(attrs, ops.FullyConnected):
        return np.asarray(x @ w.T)
    assert isinstance(attrs, ops.Conv2D | ops.DepthwiseConv2D)
    padded = _pad(x, attrs.pads, 0)
    if isinstance(attrs, ops.DepthwiseConv2D):
        return _depthwise(padded, w[0], attrs.stride)
    return _convolve(padded, w, attrs.stride)


def _pad(x: Array, pads: ops.Pads, value: float) -> Array:
    top, bottom, left, right = pads
    if not any(pads):
        return x
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)


def _convolve(x: Array, w: Array, stride: ops.Pair) -> Array:
    """x [N,H,W,I], w [O,KH,KW,I] -> [N,H',W',O], by unfolding and one matrix product per piece."""
    o, kh, kw, i = w.shape
    n, (h, wd) = len(x), _positions(x, (kh, kw), stride)
    columns_to_outputs = np.ascontiguousarray(w.reshape(o, -1).T)  # [KH*KW*I, O]
    y = np.empty((n, h, wd, o), x.dtype)
    step = max(1, _COLUMN_BYTES // (h * wd * kh * kw * i * x.itemsize))
    for start in range(0, n, step):
        part = x[start : start + step]
        windows = sliding_window_view(part, (kh, kw), axis=(1, 2))[:, :: stride[0], :: stride[1]]
        columns = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, kh * kw * i)
        y[start : start + step] = (columns @ columns_to_outputs).reshape(-1, h, wd, o)
    return y


def _depthwise(x: Array, w: Array, stride: ops.Pair) -> Array:
    """x [N,H,W,C], w [KH,KW,C] -> [N,H',W',C], by one multiply-accumulate per kernel position."""
    y = np.zeros((len(x), *_positions(x, w.shape[:2], stride), x.shape[3]), x.dtype)
    for (i, j), window in _windows(x, w.shape[:2], stride):
        y += window * w[i, j]
    return y


def _positions(x: Array, kernel: tuple[int, ...], stride: ops.Pair) -> ops.Pair:
    return (x.shape[1] - kernel[0]) // stride[0] + 1, (x.shape[2] - kernel[1]) // stride[1] + 1


def _windows(x: Array, kernel: tuple[int, ...], stride: ops.Pair) -> list[tuple[tuple[int, int], Array]]:
    """For each kernel position the values that it meets: views [N,H',W',C]."""
    h, w = _positions(x, kernel, stride)
    return [
        (
            (i, j),
            x[:, i : i + (h - 1) * stride[0] + 1 : stride[0], j : j + (w - 1) * stride[1] + 1 : stride[1]],
        )
        for i in range(kernel[0])
        for j in range(kernel[1])
    ]


def _move(graph: Graph, op: Op, x: list[Array]) -> Array:
    """Operators that only choose or move values, the same in float and int8."""
    match op.attrs:
        case ops.MaxPool2D(kernel, stride, pads):
            lowest = -128 if x[0].dtype == np.int8 else -np.inf
            views = [view for _, view in _windows(_pad(x[0], pads, lowest), kernel, stride)]
            y: Array = views[0].copy()
            for view in views[1:]:
                np.maximum(y, view, out=y)
            return y
        case ops.Concat(axis):
            return np.asarray(np.concatenate(x, axis))
        case ops.Quantize():
            return x[0]
        case ops.Reshape():
            shape = graph.tensors[op.outputs[0]].shape[1:]
            return np.asarray(x[0].reshape(len(x[0]), *shape))
        case _:
            raise AssertionError(f"{op.name}: no meaning for {op.kind}")
