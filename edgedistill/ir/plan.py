"""Counts what a graph costs on a device: multiplications, weight bytes, and the arena of its activations."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgedistill.ir import ops
from edgedistill.ir.graph import Graph, Op

ALIGNMENT_BYTES = 16
"""TFLite Micro's buffer alignment (MicroArenaBufferAlignment)."""


@dataclass(frozen=True)
class Placement:
    """Where a tensor lies in the arena, and from which operator to which (both included) it lives."""

    name: str
    offset: int
    size: int
    first: int
    last: int


@dataclass(frozen=True)
class ArenaPlan:
    """All sizes in bytes. ``peak`` is the arena; no plan can be smaller than ``lower_bound``."""

    tensors: tuple[Placement, ...]
    peak: int
    lower_bound: int
    alignment: int = ALIGNMENT_BYTES


@dataclass(frozen=True)
class _Buffer:
    """Tensors that share bytes."""

    names: tuple[str, ...]
    size: int
    first: int
    last: int

    @property
    def aligned(self) -> int:
        return -(-self.size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def macs(graph: Graph) -> dict[str, int]:
    """Multiply-accumulates of each operator for one input; 0 for all but the three that sum products."""
    return {op.name: _macs(graph, op) for op in graph.ops}


def weight_bytes(graph: Graph) -> int:
    """Bytes of all constants: weights, biases and tables."""
    used = {name for op in graph.ops for name in op.inputs}
    return sum(t.size_bytes for t in graph.tensors.values() if t.data is not None and t.name in used)


def parameters(graph: Graph) -> int:
    """Number of learned values: weights and biases, without tables and constant kernels."""
    learned: set[str] = set()
    for op in graph.ops:
        weighted = isinstance(op.attrs, ops.Conv2D | ops.DepthwiseConv2D | ops.FullyConnected)
        if weighted and not getattr(op.attrs, "constant", False):
            learned.update(op.inputs[1:])
    return sum(math.prod(graph.tensors[name].shape) for name in learned)


def arena(graph: Graph) -> ArenaPlan:
    """Offsets of all activations of one input, largest first, each in the tightest gap that holds it.

    Greedy by size with best fit: Pisarchyk and Lee 2020, "Efficient Memory Management for Deep
    Neural Net Inference", section 5.2. An operator's inputs and outputs live at once; the
    graph's inputs live from the first operator, its outputs until the last. A RESHAPE shares
    its input's bytes.
    """
    buffers = _buffers(graph)
    placed: list[tuple[int, _Buffer]] = []
    for buffer in sorted(buffers, key=lambda b: (-b.size, b.first, b.names)):
        beside = sorted(
            (offset, other.aligned)
            for offset, other in placed
            if other.first <= buffer.last and buffer.first <= other.last
        )
        best, best_gap, end = None, 0, 0
        for offset, size in beside:
            gap = offset - end
            if gap >= buffer.aligned and (best is None or gap < best_gap):
                best, best_gap = end, gap
            end = max(end, offset + size)
        placed.append((end if best is None else best, buffer))
    rows = {
        name: Placement(name, offset, buffer.size, buffer.first, buffer.last)
        for offset, buffer in placed
        for name in buffer.names
    }
    live = [sum(b.aligned for b in buffers if b.first <= i <= b.last) for i in range(max(len(graph.ops), 1))]
    peak = max((offset + buffer.aligned for offset, buffer in placed), default=0)
    return ArenaPlan(tuple(rows[name] for name in graph.activations()), peak, max(live))


def fullest(graph: Graph) -> str:
    """In words, the operator during which the live activations need most bytes, and which they are."""
    buffers = _buffers(graph)
    live = [[b for b in buffers if b.first <= i <= b.last] for i in range(len(graph.ops))]
    if not live:
        return "nothing: the graph has no operators"
    worst = max(range(len(live)), key=lambda i: sum(b.aligned for b in live[i]))
    parts = " + ".join(f"{b.aligned:,}" for b in sorted(live[worst], key=lambda b: -b.aligned))
    return f"operator {worst}, {graph.ops[worst].kind}: {parts}"


def _buffers(graph: Graph) -> list[_Buffer]:
    """One buffer per activation, except that a RESHAPE's output joins its input's."""
    end = max(len(graph.ops) - 1, 0)
    owner: dict[str, str] = {name: name for name in graph.inputs}
    first: dict[str, int] = dict.fromkeys(graph.inputs, 0)
    for i, op in enumerate(graph.ops):
        for name in op.outputs:
            owner[name] = owner[op.inputs[0]] if isinstance(op.attrs, ops.Reshape) else name
            first[name] = i
    last = dict(first)
    for i, op in enumerate(graph.ops):
        for name in op.inputs:
            if name in last:
                last[name] = i
    last.update({name: end for name in graph.outputs if name in last})
    groups: dict[str, list[str]] = {}
    for name, root in owner.items():
        groups.setdefault(root, []).append(name)
    return [
        _Buffer(
            tuple(names),
            max(graph.tensors[n].size_bytes for n in names),
            min(first[n] for n in names),
            max(last[n] for n in names),
        )
        for names in groups.values()
    ]


def _macs(graph: Graph, op: Op) -> int:
    if not isinstance(op.attrs, ops.Conv2D | ops.DepthwiseConv2D | ops.FullyConnected):
        return 0
    outputs, w = math.prod(graph.tensors[op.outputs[0]].shape), graph.tensors[op.inputs[1]].shape
    return outputs * (math.prod(w[1:3]) if isinstance(op.attrs, ops.DepthwiseConv2D) else math.prod(w[1:]))
