"""Chooses every activation's scale so that the integer graph is exact by construction.

The rules are those of the integer contract: zero point -128 after a ReLU, a range that ends
at or before 6 after a ReLU6, equal scales where values are only moved, and odd-denominator
ratios around additions and multiplications. Scales are chosen once, before quantised
training, and held, so training sees exactly the arithmetic that is deployed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgedistill.ir import ops
from edgedistill.ir.graph import Graph, Op, QParams, Tensor
from edgedistill.ir.interpret import run
from edgedistill.ir.numerics import snap_add, snap_mul

INPUT_QPARAMS = QParams(np.array([1 / 64], np.float32), 0)
"""Images: ``q = pixel - 128`` and ``real = q / 64`` (a power of two: no rounding at the input)."""

_BINARY = (ops.Add, ops.Mul)
_MOVES = (ops.MaxPool2D, ops.Reshape, ops.Concat)
_LEAST_RANGE = 1e-3  # a dead tensor still needs a scale


def observe(graph: Graph, calibration: NDArray[np.float32], percentile: float, batch: int = 64) -> dict[str, tuple[float, float]]:
    """Lowest and highest value of every activation of a float graph, outliers cut at ``percentile``.

    Args:
        calibration: real input values [N, H, W, C].
        percentile: of each batch's values; 100 keeps the extremes. The median over batches is returned.
    """
    seen: dict[str, list[tuple[float, float]]] = {}
    for start in range(0, len(calibration), batch):
        values = run(graph, {graph.inputs[0]: calibration[start : start + batch]}, keep=True)
        for name, value in values.items():
            low, high = np.percentile(value, [100 - percentile, percentile])
            seen.setdefault(name, []).append((float(low), float(high)))
    return {name: (float(np.median([p[0] for p in pairs])), float(np.median([p[1] for p in pairs]))) for name, pairs in seen.items()}


def separate_fixed_operands(graph: Graph) -> Graph:
    """Gives every ADD and MUL one operand whose scale is free, by a 1x1 depthwise copy where both are bound.

    Given:  y = ADD(a, b) where a and b both feed or leave other additions
    Result: b' = 1x1 DEPTHWISE(b); y = ADD(a, b')
    """
    bound = set(graph.inputs)
    result: list[Op] = []
    extra: list[Tensor] = []
    for op in graph.ops:
        if isinstance(op.attrs, _BINARY):
            a, b = op.inputs
            if a in bound and b in bound:
                copy, operator, constants = _copy(graph, b, op.name)
                extra += [copy, *constants]
                result.append(operator)
                op = replace(op, inputs=(a, copy.name))
            bound.update((*op.inputs, *op.outputs))
        elif isinstance(op.attrs, _MOVES):
            bound.update((*op.inputs, *op.outputs))
        result.append(op)
    return graph.with_tensors(*extra).replace(ops=tuple(result))


def _copy(graph: Graph, tensor: str, reader: str) -> tuple[Tensor, Op, list[Tensor]]:
    source = graph.tensors[tensor]
    channels = source.shape[-1]
    copy = replace(source, name=f"{tensor}.for.{reader}")
    w = Tensor(f"{copy.name}.w", (1, 1, 1, channels), "float32", data=np.ones((1, 1, 1, channels), np.float32))
    b = Tensor(f"{copy.name}.b", (channels,), "float32", data=np.zeros(channels, np.float32))
    operator = Op(copy.name, ops.DepthwiseConv2D(constant=True), (tensor, w.name, b.name), (copy.name,))
    return copy, operator, [w, b]


def _qparams(low: float, high: float, act: str) -> QParams:
    """int8 parameters whose range holds [low, high] and real zero exactly."""
    if act in ("relu", "relu6"):
        high = max(high, _LEAST_RANGE)
        scale = np.float32(min(high, 6.0) / 255 if act == "relu6" else high / 255)
        while act == "relu6" and float(scale) * 255 > 6.0:
            scale = np.nextafter(scale, np.float32(0))
        return QParams(np.array([scale], np.float32), -128)
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32(max(high - low, _LEAST_RANGE) / 255)
    zero_point = int(np.clip(np.rint(-128 - low / float(scale)), -128, 127))
    return QParams(np.array([scale], np.float32), zero_point)


def _scaled(q: QParams, scale: np.float32) -> QParams:
    return replace(q, scale=np.array([scale], np.float32))


def choose(graph: Graph, ranges: Mapping[str, tuple[float, float]], input_qparams: QParams = INPUT_QPARAMS) -> dict[str, QParams]:
    """int8 parameters of every activation of a float graph, snapped to the rules.

    Args:
        graph: float, from ``separate_fixed_operands``.
        ranges: ``observe``'s, or any guess (sizing lowers untrained students with dummy ranges).
    """
    chosen: dict[str, QParams] = {graph.inputs[0]: input_qparams}
    for op in graph.ops:  # free choice
        act = getattr(op.attrs, "act", "none")
        low, high = ranges.get(op.outputs[0], (-1.0, 1.0))
        chosen[op.outputs[0]] = _qparams(low, high, act)
    for op in reversed(graph.ops):  # values that are only moved: one scale for the whole group
        if isinstance(op.attrs, ops.Concat):
            group = [chosen[n] for n in op.inputs]
            low = min(float(q.scale[0]) * (-128 - q.zero_point) for q in group)
            high = max(float(q.scale[0]) * (127 - q.zero_point) for q in group)
            act = "relu" if all(q.zero_point == -128 for q in group) else "none"
            chosen.update(dict.fromkeys(op.inputs, _qparams(low, high, act)))
    fixed = set(graph.inputs)
    for op in graph.ops:
        y = op.outputs[0]
        if isinstance(op.attrs, _MOVES):
            chosen[y] = chosen[op.inputs[0]]
            fixed.update((*op.inputs, y))
        elif isinstance(op.attrs, _BINARY):
            a, b = op.inputs if op.inputs[1] not in fixed else op.inputs[::-1]
            assert b not in fixed or a == b, f"{op.name}: both operands are bound"
            snap = snap_add if isinstance(op.attrs, ops.Add) else snap_mul
            s_b, s_y = snap(chosen[a].scale[0], chosen[b].scale[0], chosen[y].scale[0])
            chosen[b], chosen[y] = _scaled(chosen[b], s_b), _scaled(chosen[y], s_y)
            fixed.update((a, b, y))
    return chosen
