"""Orders weights as the C kernels read them, and folds input zero points into biases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import InputError
from edgedistill.ir import numerics
from edgedistill.ir.graph import Graph, Op, QParams
from edgedistill.ir.interpret import Family

Int8 = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Channels:
    """int32 ``bias`` [O] with the input's zero point folded in; ``scale`` [O], float64 for family D."""

    bias: NDArray[np.int32]
    scale: NDArray[np.floating[Any]]

    @property
    def are_the_same(self) -> bool:
        """Whether all channels have one bias and one multiplier, as an average has."""
        return bool((self.bias == self.bias[0]).all() and (self.scale == self.scale[0]).all())

    def first(self, count: int) -> Channels:
        """The first channel, ``count`` times."""
        return Channels(np.repeat(self.bias[:1], count), np.repeat(self.scale[:1], count))

    def filled_up(self, multiple: int) -> Channels:
        """Channels of zero at the end, up to a multiple."""
        extra = -len(self.bias) % multiple
        return Channels(np.pad(self.bias, (0, extra)), np.pad(self.scale, (0, extra)))


def quant(graph: Graph, name: str) -> QParams:
    """A tensor's scale and zero point."""
    found = graph.tensors[name].quant
    assert found is not None, f"{name} has no scale"
    return found


def rows(graph: Graph, op: Op) -> Int8:
    """Weights as [O, K]: one row of products per output channel, in the order of the input's bytes."""
    weights = graph.tensors[op.inputs[1]].data
    assert weights is not None
    if op.kind == "DEPTHWISE_CONV_2D":
        weights = np.moveaxis(weights[0], -1, 0)  # [C, KH, KW]
    return np.ascontiguousarray(weights.reshape(len(weights), -1))


def channels(graph: Graph, op: Op, family: Family = "F") -> Channels:
    """Bias and multiplier of each output channel.

    ``sum((x - zero) * w) + b = sum(x * w) + (b - zero * sum(w))``: with the second form the
    kernels subtract nothing, and padding is the zero point.

    Raises:
        InputError: a sum may leave int32.
    """
    bias = graph.tensors[op.inputs[2]].data
    assert bias is not None
    x, w, y = (quant(graph, name) for name in (op.inputs[0], op.inputs[1], op.outputs[0]))
    matrix = rows(graph, op).astype(np.int64)
    folded = bias.astype(np.int64) - x.zero_point * matrix.sum(1)
    worst = int((np.abs(folded) + 128 * np.abs(matrix).sum(1)).max(initial=0))
    if worst >= 2**31:
        raise InputError(
            f"a sum may reach {worst:,}, past the int32 that C adds in",
            where=f"{graph.name}: {op.name}",
            fix="choose a wider weight scale, or fewer products per output",
        )
    scale: NDArray[np.floating[Any]] = numerics.multiplier(x.scale, w.scale, y.scale)
    if family == "D":
        scale = float(x.scale[0]) * w.scale.astype(np.float64) / float(y.scale[0])
    whole = np.ascontiguousarray(np.broadcast_to(scale, folded.shape))
    return Channels(folded.astype(np.int32), whole)


def by_pairs(matrix: Int8) -> Int8:
    """[O, K] for ``edge_dot``: per pair of channels, four of the first, four of the second, and so on.

    O is filled up to a multiple of 2 and K of 4, with zeros. Helium reads sixteen of each channel at least.
    """
    o, k = matrix.shape
    full = np.pad(matrix, ((0, -o % 2), (0, -k % 4)))
    groups = full.reshape(len(full) // 2, 2, full.shape[1] // 4, 4)  # pair, channel, group of four products
    return np.pad(groups.transpose(0, 2, 1, 3).reshape(-1), (0, 2 * max(16 - full.shape[1], 0)))


def by_fours(matrix: Int8) -> Int8:
    """[O, K] for ``edge_dense``: per four channels, four of each in turn, then what K leaves over.

    The last ``O % 4`` channels follow as plain rows. Helium reads sixteen of each of the four at least.
    """
    o, k = matrix.shape
    whole, blocked = k - k % 4, o - o % 4
    blocks = matrix[:blocked].reshape(o // 4, 4, k)
    turns = blocks[:, :, :whole].reshape(o // 4, 4, k // 4, 4).transpose(0, 2, 1, 3)
    parts = [turns.reshape(o // 4, 4 * whole), blocks[:, :, whole:].reshape(o // 4, 4 * (k - whole))]
    last = matrix[blocked:].reshape(-1)
    beyond = 4 * (16 - whole) - (4 * (k - whole) + len(last)) if blocked and whole % 16 else 0
    return np.concatenate([np.concatenate(parts, 1).reshape(-1), last, np.zeros(max(beyond, 0), np.int8)])
