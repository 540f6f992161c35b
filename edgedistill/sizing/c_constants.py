"""Counts the bytes of a model's constants in C without printing them: they depend on shapes alone."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from edgedistill.errors import UnsupportedOpError
from edgedistill.export.c.operators import OPERATORS, Site
from edgedistill.export.c.steps import is_dense, steps
from edgedistill.ir import ops
from edgedistill.ir.graph import Graph, Op
from edgedistill.ir.interpret import Family

_WORD = 4  # of a core with 32 bits: a pointer, an int32_t, a float
_STRUCTURE = re.compile(r"static const edge_(\w+)_t \w+ = \{(.*?)\n\};", re.DOTALL)


def constant_bytes(graph: Graph) -> int:
    """Arrays of an int8 graph in family F on a 32-bit core: weights, biases, scales, look-up tables.

    Each begins on a word's boundary. The steps' structures come besides, see ``program``.
    """
    return sum(_step_bytes(graph, step.ops[0]) for step in steps(graph))


@dataclass(frozen=True)
class Program:
    """What the C of all graphs with the same operators has in common, whatever their channels."""

    kernels: tuple[str, ...]  # names of export.c.kernel.KERNELS that its steps call, sorted
    calls: int  # steps
    structure_bytes: int  # of the structures that say each step's sizes


def program(graph: Graph, family: Family = "F") -> Program:
    """Of an int8 graph, on a 32-bit core.

    Raises:
        InputError: C cannot compute an operator in this family.
    """
    site = Site(dict.fromkeys(graph.activations(), "x"), "NULL", "op", family)
    printed = []
    for step in steps(graph):
        kind = step.ops[-1].kind
        if kind not in OPERATORS:
            raise UnsupportedOpError(f"C has no kernel for {kind}", where=step.ops[-1].name)
        printed.append(OPERATORS[kind](graph, step, site))
    bodies = [body for part in printed for _, body in _STRUCTURE.findall(part.constants)]
    return Program(
        tuple(sorted({name for part in printed for name in part.kernels})),
        sum(bool(part.calls) for part in printed),
        sum(_WORD * (body.count(" = ") + body.count("{")) for body in bodies),  # fixed point: two words
    )


def _step_bytes(graph: Graph, op: Op) -> int:
    if isinstance(op.attrs, ops.Table):
        return 256
    if not isinstance(op.attrs, ops.Conv2D | ops.DepthwiseConv2D | ops.FullyConnected):
        return 0
    w, y = graph.tensors[op.inputs[1]].shape, graph.tensors[op.outputs[0]].shape[-1]
    if isinstance(op.attrs, ops.DepthwiseConv2D):
        same = op.attrs.constant  # one kernel, one bias and one scale for all channels
        values = math.prod(w[1:3]) * (1 if same else y)
        return _aligned(values) + 2 * _WORD * (4 if same else -(-y // 4) * 4)
    count = math.prod(w[1:])
    if is_dense(graph, op):
        return _aligned(fours_bytes(w[0], count)) + 2 * _WORD * y
    return _aligned(pairs_bytes(w[0], count)) + 2 * _WORD * -(-y // 4) * 4


def pairs_bytes(outputs: int, count: int) -> int:
    """The size of ``layout.by_pairs`` of ``outputs`` rows of ``count`` products."""
    depth = -(-count // 4) * 4
    return (outputs + outputs % 2) * depth + 2 * max(16 - depth, 0)


def fours_bytes(outputs: int, count: int) -> int:
    """The size of ``layout.by_fours`` of ``outputs`` rows of ``count`` products."""
    in_blocks = outputs >= 4 and count >= 4
    read_past = 64 - 4 * count - outputs % 4 * count if in_blocks else 0
    return outputs * count + max(read_past, 0)


def _aligned(count: int) -> int:
    return -(-count // _WORD) * _WORD
