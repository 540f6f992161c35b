"""Puts the activations of chosen layers in int16: which layers can be, and QUANTIZE at the borders to int8.

A tensor in int16 is written and read by operators on int16 (see ``ir.numerics16``). What such an operator
reads in int8 is widened first, and what it writes in int8 is narrowed last, both exactly: a weighted layer
requantises to the int8 scale itself, and an addition is followed by a 1x1 depthwise convolution that does.

::

    Given:   b = CONV_2D(a); c = CONV_2D(b)         b in int16, a and c in int8
    Result:  a16 = QUANTIZE(a); b = CONV_2D(a16); c16 = CONV_2D(b); c = QUANTIZE(c16)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import UnknownNameError, UnsupportedOpError
from edgedistill.ir import ops
from edgedistill.ir.graph import Graph, Op, QParams, Tensor
from edgedistill.ir.verify import INT16_KINDS
from edgedistill.quant import ranges

WHERE = "quantise.int16"
_WEIGHTED = (ops.Conv2D, ops.DepthwiseConv2D, ops.FullyConnected)


def candidates(graph: Graph) -> dict[str, str | None]:
    """By each layer of a float graph, why its output cannot be int16; None: it can."""
    groups = ranges.moved(graph)
    return {op.name: _obstacle(graph, groups[op.outputs[0]]) for op in graph.ops}


def _obstacle(graph: Graph, group: Sequence[str]) -> str | None:
    if set(group) & set(graph.outputs):
        return "it gives the network's answer, which is int8"
    if set(group) & set(graph.inputs):
        return "it only moves the network's input, which is int8"
    for op in graph.ops:
        if set(group) & {*op.inputs, *op.outputs} and not isinstance(op.attrs, INT16_KINDS):
            return f"{op.name} ({op.kind}) works on its output, and only in int8"
    return None


def selected(graph: Graph, patterns: Sequence[str]) -> tuple[str, ...]:
    """The layers that ``patterns`` name, in the graph's order; a glob leaves out those that cannot be.

    Raises:
        UnknownNameError: a pattern that names no layer.
        UnsupportedOpError: named layers whose output cannot be int16.
    """
    known, chosen = candidates(graph), set[str]()
    for pattern in patterns:
        if pattern in known:
            why = known[pattern]
            if why is not None:
                raise UnsupportedOpError(
                    f"the output of {pattern!r} cannot be int16: {why}",
                    where=WHERE,
                    fix=f"choose among {', '.join(name for name, why in known.items() if why is None)}",
                )
            chosen.add(pattern)
            continue
        matching = [name for name in known if fnmatchcase(name, pattern)]
        if not matching:
            raise UnknownNameError("layer", pattern, known, where=WHERE)
        able = [name for name in matching if known[name] is None]
        if not able:
            raise UnsupportedOpError(
                f"no layer like {pattern!r} can be int16: {matching[0]}: {known[matching[0]]}",
                where=WHERE,
                fix="name others",
            )
        chosen.update(able)
    return tuple(name for name in known if name in chosen)


def tensors(graph: Graph, layers: Sequence[str]) -> frozenset[str]:
    """What is int16 when ``layers`` are: their outputs, and what these are moved to."""
    groups = ranges.moved(graph)
    return frozenset(name for op in graph.ops if op.name in layers for name in groups[op.outputs[0]])


def quantised(
    graph: Graph,
    observed: Mapping[str, tuple[float, float]],
    layers: Sequence[str],
    extremes: Mapping[str, tuple[float, float]] | None = None,
) -> tuple[Graph, dict[str, QParams]]:
    """The float graph with its borders between int8 and int16, and parameters of all activations.

    Args:
        graph: float, from ``ranges.separate_fixed_operands``.
        observed: ``ranges.observe``'s, or a guess.
        layers: from ``selected``; none of them changes nothing.
        extremes: the same without cutting outliers, for what is int16: it has steps enough.
    """
    wide = tensors(graph, layers)
    whole = {name: extremes[name] for name in wide} if extremes else {}
    return bordered(graph, ranges.choose(graph, {**observed, **whole}, int16=wide))


def bordered(graph: Graph, qparams: Mapping[str, QParams]) -> tuple[Graph, dict[str, QParams]]:
    """Inserts QUANTIZE wherever int8 and int16 meet; returns parameters of the new activations, too."""
    made = _Borders(graph, dict(qparams))
    for op in graph.ops:
        if any(made.q[n].bits == 16 for n in (*op.inputs, *op.outputs) if n in qparams):
            made.wide(op)
        else:
            made.ops.append(op)
    return graph.with_tensors(*made.tensors).replace(ops=tuple(made.ops)), made.q


class _Borders:
    """The graph under construction."""

    def __init__(self, graph: Graph, qparams: dict[str, QParams]) -> None:
        self.graph, self.q = graph, qparams
        self.ops: list[Op] = []
        self.tensors: list[Tensor] = []

    def wide(self, op: Op) -> None:
        """An operator on int16, with what it needs around it."""
        if isinstance(op.attrs, ops.Reshape):
            self.ops.append(op)
            return
        if isinstance(op.attrs, ops.Add):
            unit = next(self.q[n].scale for n in (*op.inputs, *op.outputs) if self.q[n].bits == 16)
            op = replace(op, inputs=tuple(self._widened(n, unit, f".for.{op.name}") for n in op.inputs))
        else:
            x = op.inputs[0]
            op = replace(op, inputs=(self._widened(x, self.q[x].scale, ""), *op.inputs[1:]))
        y = op.outputs[0]
        if self.q[y].bits == 16:
            self.ops.append(op)
            return
        last = self._like(y, f"{y}.int16", self.q[y].scale)
        if isinstance(op.attrs, ops.Add):
            total = self._like(y, f"{y}.sum", unit)
            self.ops.append(replace(op, outputs=(total,)))
            self._rescaled(total, last, op.name)
        else:
            self.ops.append(replace(op, outputs=(last,)))
        self.ops.append(Op(f"{op.name}.int8", ops.Quantize(), (last,), (y,)))

    def _widened(self, name: str, scale: NDArray[np.float32], reader: str) -> str:
        if self.q[name].bits == 16:
            return name
        wide = f"{name}.int16{reader}"
        if wide not in self.q:
            self._like(name, wide, scale)
            self.ops.append(Op(wide, ops.Quantize(), (name,), (wide,)))
        return wide

    def _like(self, name: str, new: str, scale: NDArray[np.float32]) -> str:
        """A new int16 activation of the shape of ``name``."""
        self.tensors.append(replace(self.graph.tensors[name], name=new))
        self.q[new] = QParams(scale, 0, bits=16)
        return new

    def _rescaled(self, x: str, y: str, layer: str) -> None:
        """y = x at another scale, by a 1x1 depthwise convolution."""
        shape = next(t.shape for t in self.tensors if t.name == x)
        if len(shape) != 4:
            raise UnsupportedOpError(
                f"the sum of {layer!r} would have to become int8, and only images can",
                where=WHERE,
                fix=f"put {layer!r} in int16, too",
            )
        w = Tensor(f"{y}.w", (1, 1, 1, shape[3]), "float32", data=np.ones((1, 1, 1, shape[3]), np.float32))
        b = Tensor(f"{y}.b", (shape[3],), "float32", data=np.zeros(shape[3], np.float32))
        self.tensors += [w, b]
        self.ops.append(
            Op(f"{layer}.rescaled", ops.DepthwiseConv2D(constant=True), (x, w.name, b.name), (y,))
        )
