"""Counts what a graph costs on a device: multiplications, weight bytes, and the arena of its activations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
class Step:
    """Operators that run as one: what they hand each other takes no bytes.

    ``over``: tensors whose bytes the last operator's output may take, once nothing else reads them.
    ``scratch``: bytes that live only while the step runs; placed under the name ``scratch_name``.
    """

    ops: tuple[Op, ...]
    over: tuple[str, ...] = ()
    scratch: int = 0

    @property
    def output(self) -> str:
        return self.ops[-1].outputs[0]

    @property
    def scratch_name(self) -> str:
        return f"{self.ops[-1].name}/scratch"


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

    def joined(self, other: _Buffer) -> _Buffer:
        return replace(
            self,
            names=self.names + other.names,
            size=max(self.size, other.size),
            first=min(self.first, other.first),
            last=max(self.last, other.last),
        )


def macs(graph: Graph) -> dict[str, int]:
    """Multiply-accumulates of each operator for one input; 0 for all but the three that sum products."""
    return {op.name: _macs(graph, op) for op in graph.ops}


def weight_bytes(graph: Graph) -> int:
    """Bytes of all constants: weights, biases and tables."""
    used = {name for op in graph.ops for name in op.inputs}
    return sum(t.size_bytes for t in graph.tensors.values() if t.data is not None and t.name in used)


def network_bytes(graph: Graph) -> int:
    """Kernels, biases and scales of the network's own weighted layers: what a flatbuffer holds of them."""
    found: dict[str, int] = {}
    for op in graph.ops:
        weighted = isinstance(op.attrs, ops.Conv2D | ops.DepthwiseConv2D | ops.FullyConnected)
        if weighted and not ops.is_constant(op.attrs):
            kernel = graph.tensors[op.inputs[1]]
            assert kernel.quant is not None
            scale = kernel.quant.scale
            one_for_all = bool((scale == scale[0]).all())  # readers repeat a scale per tensor
            found[op.inputs[1]] = kernel.size_bytes + (scale[:1] if one_for_all else scale).nbytes
            found[op.inputs[2]] = graph.tensors[op.inputs[2]].size_bytes
    return sum(found.values())


def parameters(graph: Graph) -> int:
    """Number of learned values: weights and biases, without tables and constant kernels."""
    learned: set[str] = set()
    for op in graph.ops:
        weighted = isinstance(op.attrs, ops.Conv2D | ops.DepthwiseConv2D | ops.FullyConnected)
        if weighted and not ops.is_constant(op.attrs):
            learned.update(op.inputs[1:])
    return sum(math.prod(graph.tensors[name].shape) for name in learned)


def arena(graph: Graph, steps: Sequence[Step] | None = None) -> ArenaPlan:
    """Offsets of all activations of one input, largest first, each in the tightest gap that holds it.

    Without ``steps`` each operator is one, and none writes over its input. ``first`` and ``last``
    of the placements count steps.

    Greedy by size with best fit: Pisarchyk and Lee 2020, "Efficient Memory Management for Deep
    Neural Net Inference", section 5.2. An operator's inputs and outputs live at once; the
    graph's inputs live from the first operator, its outputs until the last. A RESHAPE shares
    its input's bytes.
    """
    steps = tuple(Step((op,)) for op in graph.ops) if steps is None else steps
    buffers = _buffers(graph, steps)
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
    live = [sum(b.aligned for b in buffers if b.first <= i <= b.last) for i in range(max(len(steps), 1))]
    peak = max((offset + buffer.aligned for offset, buffer in placed), default=0)
    order = (*graph.activations(), *(step.scratch_name for step in steps))
    return ArenaPlan(tuple(rows[name] for name in order if name in rows), peak, max(live))


def fullest(graph: Graph) -> str:
    """In words, the operator during which the live activations need most bytes, and which they are."""
    buffers = _buffers(graph, tuple(Step((op,)) for op in graph.ops))
    live = [[b for b in buffers if b.first <= i <= b.last] for i in range(len(graph.ops))]
    if not live:
        return "nothing: the graph has no operators"
    worst = max(range(len(live)), key=lambda i: sum(b.aligned for b in live[i]))
    parts = " + ".join(f"{b.aligned:,}" for b in sorted(live[worst], key=lambda b: -b.aligned))
    return f"operator {worst}, {graph.ops[worst].kind}: {parts}"


def _buffers(graph: Graph, steps: Sequence[Step]) -> list[_Buffer]:
    """One buffer per activation between steps, shared where a RESHAPE or ``over`` allows it, and scratch."""
    end = max(len(steps) - 1, 0)
    first = dict.fromkeys(graph.inputs, 0) | {step.output: i for i, step in enumerate(steps)}
    last = dict(first)
    for i, step in enumerate(steps):
        last.update({name: i for op in step.ops for name in op.inputs if name in first})
    last.update({name: end for name in graph.outputs if name in first})
    owner: dict[str, str] = {name: name for name in graph.inputs}
    groups: dict[str, _Buffer] = {}

    def join(name: str, root: str) -> None:
        owner[name] = root
        size = graph.tensors[name].size_bytes
        new = _Buffer((name,), size, first[name], last[name])
        old = groups.get(root)
        groups[root] = new if old is None else old.joined(new)

    for name in graph.inputs:
        join(name, name)
    reshaped = {step.output: step.ops[-1].inputs[0] for step in steps if _is_reshape(step)}
    for name in reshaped:  # what reads a reshaped value reads the bytes of the value itself
        source = reshaped[name]
        while source in reshaped:
            source = reshaped[source]
        last[source] = max(last[source], last[name])
    for i, step in enumerate(steps):
        roots = [owner[step.ops[-1].inputs[0]]] if _is_reshape(step) else []
        kept = {owner[name] for op in step.ops[:-1] for name in op.inputs if name in owner}
        kept |= set(graph.inputs)
        roots += [r for r in (owner[name] for name in step.over) if groups[r].last == i and r not in kept]
        join(step.output, roots[0] if roots else step.output)
    scratch = [
        _Buffer((step.scratch_name,), step.scratch, i, i) for i, step in enumerate(steps) if step.scratch
    ]
    return [*groups.values(), *scratch]


def _is_reshape(step: Step) -> bool:
    return len(step.ops) == 1 and isinstance(step.ops[0].attrs, ops.Reshape)


def _macs(graph: Graph, op: Op) -> int:
    if not isinstance(op.attrs, ops.Conv2D | ops.DepthwiseConv2D | ops.FullyConnected):
        return 0
    outputs, w = math.prod(graph.tensors[op.outputs[0]].shape), graph.tensors[op.inputs[1]].shape
    return outputs * (math.prod(w[1:3]) if isinstance(op.attrs, ops.DepthwiseConv2D) else math.prod(w[1:]))
