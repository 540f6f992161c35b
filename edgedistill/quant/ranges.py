"""Chooses every activation's scale so that the integer graph is exact by construction.

The rules are those of the integer contract: zero point -128 after a ReLU, a range that ends
at or before 6 after a ReLU6, equal scales where values are only moved, and odd-denominator
ratios around additions and multiplications. Scales are chosen once, before quantised
training, and held, so training sees exactly the arithmetic that is deployed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Set
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import UnsupportedOpError
from edgedistill.ir import ops
from edgedistill.ir.graph import Graph, Op, QParams, Tensor
from edgedistill.ir.interpret import run
from edgedistill.ir.numerics import snap_add, snap_mul

INPUT_QPARAMS = QParams(np.array([1 / 64], np.float32), 0)
"""Images: ``q = pixel - 128`` and ``real = q / 64`` (a power of two: no rounding at the input)."""

_BINARY = (ops.Add, ops.Mul)
_MOVES = (ops.MaxPool2D, ops.Reshape, ops.Concat)
_SAME = 1e-6  # of a ratio of scales
_RELU6 = 6 / 255  # the largest scale of a RELU6
LEAST_RANGE = 1e-3  # a dead tensor still needs a scale


def observe(
    graph: Graph, calibration: NDArray[np.float32], percentile: float, batch: int = 64
) -> dict[str, tuple[float, float]]:
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
    return {
        name: (float(np.median([p[0] for p in pairs])), float(np.median([p[1] for p in pairs])))
        for name, pairs in seen.items()
    }


def separate_fixed_operands(graph: Graph) -> Graph:
    """Gives every ADD, MUL and CONCATENATION operands whose scales can be chosen, by 1x1 depthwise copies.

    Given:  y = ADD(a, b) where a and b both feed or leave other additions
    Result: b' = 1x1 DEPTHWISE(b); y = ADD(a, b')
    """
    bound = set(graph.inputs)
    result: list[Op] = []
    extra: list[Tensor] = []
    acts: dict[str, str] = {}

    def copied(name: str, op: Op) -> str:
        copy, operator, constants = _copy(graph, name, op.name)
        extra.extend([copy, *constants])
        result.append(operator)
        return copy.name

    for op in graph.ops:
        if isinstance(op.attrs, _BINARY):
            a, b = op.inputs
            if a in bound and b in bound:
                op = replace(op, inputs=(a, copied(b, op)))
            bound.update((*op.inputs, *op.outputs))
        elif isinstance(op.attrs, ops.Concat):
            mixed = len({acts.get(n, "none") for n in op.inputs}) > 1
            names = []
            for name in op.inputs:
                again = name in bound or name in names or (mixed and acts.get(name, "none") != "none")
                names.append(copied(name, op) if again else name)
            op = replace(op, inputs=tuple(names))
            bound.update((*op.inputs, *op.outputs))
        elif isinstance(op.attrs, _MOVES):
            acts[op.outputs[0]] = acts.get(op.inputs[0], "none")
            if op.inputs[0] not in bound and len(graph.consumers(op.inputs[0])) > 1:
                op = replace(op, inputs=(copied(op.inputs[0], op),))
            if op.inputs[0] in bound:
                bound.update(op.outputs)
        else:
            acts[op.outputs[0]] = getattr(op.attrs, "act", "none")
        result.append(op)
    return graph.with_tensors(*extra).replace(ops=tuple(result))


def _copy(graph: Graph, tensor: str, reader: str) -> tuple[Tensor, Op, list[Tensor]]:
    source = graph.tensors[tensor]
    if len(source.shape) != 4:
        raise UnsupportedOpError(
            f"{reader!r} needs a copy of {tensor!r} at another scale, and only images can be copied",
            where=f"shape {source.shape}",
            fix="add or multiply before the flatten",
        )
    channels = source.shape[-1]
    copy = replace(source, name=f"{tensor}.for.{reader}")
    w = Tensor(
        f"{copy.name}.w", (1, 1, 1, channels), "float32", data=np.ones((1, 1, 1, channels), np.float32)
    )
    b = Tensor(f"{copy.name}.b", (channels,), "float32", data=np.zeros(channels, np.float32))
    operator = Op(copy.name, ops.DepthwiseConv2D(constant=True), (tensor, w.name, b.name), (copy.name,))
    return copy, operator, [w, b]


def qparams_of(low: float, high: float, act: str) -> QParams:
    """int8 parameters whose range holds [low, high] and real zero exactly."""
    if act in ("relu", "relu6"):
        high = max(high, LEAST_RANGE)
        scale = np.float32(min(high, 6.0) / 255 if act == "relu6" else high / 255)
        while act == "relu6" and float(scale) * 255 > 6.0:
            scale = np.nextafter(scale, np.float32(0))
        return QParams(np.array([scale], np.float32), -128)
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32(max(high - low, LEAST_RANGE) / 255)
    zero_point = int(np.clip(np.rint(-128 - low / float(scale)), -128, 127))
    return QParams(np.array([scale], np.float32), zero_point)


def moved(graph: Graph) -> dict[str, list[str]]:
    """By each activation, all activations that values are only moved to or from (itself included)."""
    root: dict[str, str] = {}

    def find(name: str) -> str:
        while name in root:
            name = root[name]
        return name

    for op in graph.ops:
        if isinstance(op.attrs, _MOVES):
            for name in op.inputs:
                a, b = find(name), find(op.outputs[0])
                if a != b:
                    root[b] = a
    groups: dict[str, list[str]] = {}
    for name in graph.activations():
        groups.setdefault(find(name), []).append(name)
    return {name: members for members in groups.values() for name in members}


def _shared(
    graph: Graph, chosen: Mapping[str, QParams], groups: Mapping[str, list[str]]
) -> dict[str, QParams]:
    """One scale for each group of tensors between which values are only moved.

    Members either all end in a ReLU or none does (``separate_fixed_operands`` copies the others).
    """
    result: dict[str, QParams] = {}
    for members in groups.values():
        if len(members) == 1 or members[0] in result:
            continue
        if graph.inputs[0] in members:
            shared = chosen[graph.inputs[0]]
        else:
            low = min(float(chosen[n].scale[0]) * (-128 - chosen[n].zero_point) for n in members)
            high = max(float(chosen[n].scale[0]) * (127 - chosen[n].zero_point) for n in members)
            acts = _acts(graph, members) - {"none"}
            shared = qparams_of(low, high, "relu6" if "relu6" in acts else "relu" if acts else "none")
        result.update(dict.fromkeys(members, shared))
    return result


def _acts(graph: Graph, group: Collection[str]) -> set[str]:
    """What the operators end in that write activations of a group."""
    return {getattr(op.attrs, "act", "none") for op in graph.ops if op.outputs[0] in group}


def _scaled(q: QParams, scale: np.float32) -> QParams:
    return replace(q, scale=np.array([scale], np.float32))


def choose(
    graph: Graph,
    ranges: Mapping[str, tuple[float, float]],
    input_qparams: QParams = INPUT_QPARAMS,
    int16: Set[str] = frozenset(),
) -> dict[str, QParams]:
    """int8 (or int16) parameters of every activation of a float graph, snapped to the rules.

    Args:
        graph: float, from ``separate_fixed_operands``.
        ranges: ``observe``'s, or any guess (sizing lowers untrained students with dummy ranges).
        int16: activations that are int16 instead, whole groups of ``moved`` (see ``quant.int16``).
    """
    chosen: dict[str, QParams] = {graph.inputs[0]: input_qparams}
    for op in graph.ops:  # free choice
        act = getattr(op.attrs, "act", "none")
        low, high = ranges.get(op.outputs[0], (-1.0, 1.0))
        chosen[op.outputs[0]] = qparams_of(low, high, act)
    groups = moved(graph)
    chosen.update(_shared(graph, chosen, groups))
    chosen.update({name: widened(chosen[name]) for name in int16})
    return snapped(graph, chosen, groups)


def snapped(
    graph: Graph, wished: Mapping[str, QParams], groups: Mapping[str, list[str]]
) -> dict[str, QParams]:
    """The wished parameters with the scales around ADD and MUL moved to odd-denominator ratios.

    Args:
        wished: of every activation, equal within a group; a ReLU6's range ends at or before 6.
        groups: ``moved``'s.
    """
    chosen, fixed = dict(wished), set(graph.inputs)
    tied = _tied(graph, wished, groups)
    for op in graph.ops:
        if isinstance(op.attrs, ops.Add) and any(name in tied for name in (*op.inputs, *op.outputs)):
            _tie(graph, op, chosen, fixed, groups, tied)
        elif isinstance(op.attrs, _BINARY):
            y = op.outputs[0]
            a, b = op.inputs if op.inputs[1] not in fixed else op.inputs[::-1]
            assert b not in fixed or a == b, f"{op.name}: both operands are bound"
            s_a, s_b, s_y = (chosen[name].scale[0] for name in (a, b, y))
            largest_y = _RELU6 if op.attrs.act == "relu6" else None
            if isinstance(op.attrs, ops.Add):
                largest_b = _RELU6 if "relu6" in _acts(graph, groups[b]) else None
                s_b, s_y = snap_add(s_a, s_b, s_y, largest_y, largest_b)
            else:
                s_b, s_y = snap_mul(s_a, s_b, s_y, largest_y)
            for name, scale in ((b, s_b), (y, s_y)):
                chosen.update(dict.fromkeys(groups[name], _scaled(chosen[name], scale)))
            fixed.update((*groups[a], *groups[b], *groups[y]))
        elif isinstance(op.attrs, _MOVES):
            fixed.update(groups[op.outputs[0]] if isinstance(op.attrs, ops.Concat) else ())
    return chosen


def widened(q: QParams) -> QParams:
    """int16 parameters whose range holds that of int8 ones, real zero at 0."""
    furthest = max(128 + q.zero_point, 127 - q.zero_point)
    scale = np.float32(float(q.scale[0]) * furthest / (2**15 - 1))
    return QParams(np.array([scale], np.float32), 0, bits=16)


def _tied(
    graph: Graph, wished: Mapping[str, QParams], groups: Mapping[str, list[str]]
) -> dict[str, frozenset[str]]:
    """By each int16 activation, all that must have its scale: additions of int16 have equal ones."""
    tied = {name: frozenset(groups[name]) for name, q in wished.items() if q.bits == 16}
    for op in graph.ops:
        wide = [name for name in (*op.inputs, *op.outputs) if name in tied]
        if isinstance(op.attrs, ops.Add) and wide:
            together = frozenset().union(*(tied[name] for name in wide))
            tied.update(dict.fromkeys(together, together))
    return tied


def _tie(
    graph: Graph,
    op: Op,
    chosen: dict[str, QParams],
    fixed: set[str],
    groups: Mapping[str, list[str]],
    tied: Mapping[str, frozenset[str]],
) -> None:
    """One scale u for what an ADD has in int16; operands in int8 get whole multiples of it, so that QUANTIZE
    to int16 is exact. An int8 output is requantised afterwards, at any scale."""
    members = tied[next(name for name in (*op.inputs, *op.outputs) if name in tied)]
    narrow = [name for name in op.inputs if name not in tied]
    if members & fixed:
        u = float(chosen[next(iter(members))].scale[0])
    else:
        u = max(_least_unit(other, members, chosen) for other in graph.ops)
        bound = [float(chosen[name].scale[0]) for name in narrow if name in fixed]
        if bound:
            u = bound[0] / max(math.floor(bound[0] / u * (1 + _SAME)), 1)
        u = float(np.float32(u))
        chosen.update({name: _scaled(chosen[name], np.float32(u)) for name in members})
    for name in narrow:
        ratio = float(chosen[name].scale[0]) / u
        bounded = "relu6" in _acts(graph, groups[name])
        times = math.floor(ratio * (1 + _SAME)) if bounded else math.ceil(ratio * (1 - _SAME))
        if times < 1 or (name in fixed and abs(ratio / times - 1) > _SAME):
            raise UnsupportedOpError(
                f"the int8 scale of {name!r} is no multiple of the int16 scale of its addition",
                where=op.name,
                fix="leave one of the addition's layers out of quantise.int16",
            )
        if name not in fixed:
            chosen.update(dict.fromkeys(groups[name], _scaled(chosen[name], np.float32(times * u))))
        fixed.update(groups[name])
    fixed.update(members)


def _least_unit(op: Op, members: Set[str], chosen: Mapping[str, QParams]) -> float:
    """The finest int16 scale that holds all that an ADD on ``members`` reads and writes."""
    names = (*op.inputs, *op.outputs)
    if not isinstance(op.attrs, ops.Add) or not members & set(names):
        return 0.0
    found = [chosen[name] for name in names]
    return max(float((q if q.bits == 16 else widened(q)).scale[0]) for q in found)
