"""Orders weights as the C kernels read them, and folds input zero points into biases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import InputError
from edgedistill.ir import numerics
from edgedistill.ir.graph import Graph, Op, QParams
from edgedistill.ir.interpret import Family
from edgedistill.ir.numerics import FixedPoint

Int8 = NDArray[np.int8]
Multiplier: TypeAlias = np.float32 | FixedPoint
"""Of family F, or of family D."""


@dataclass(frozen=True, eq=False)
class Channels:
    """int32 ``bias`` [O] with the input's zero point folded in, and ``scale`` [O], all of one family."""

    bias: NDArray[np.int32]
    scale: tuple[Multiplier, ...]

    @property
    def are_the_same(self) -> bool:
        """Whether all channels have one bias and one multiplier, as an average has."""
        return bool((self.bias == self.bias[0]).all()) and len(set(self.scale)) == 1

    def first(self, count: int) -> Channels:
        """The first channel, ``count`` times."""
        return Channels(np.repeat(self.bias[:1], count), self.scale[:1] * count)

    def filled_up(self, multiple: int) -> Channels:
        """Channels of zero at the end, up to a multiple."""
        extra = -len(self.bias) % multiple
        zero = FixedPoint() if isinstance(self.scale[0], FixedPoint) else np.float32(0)
        return Channels(np.pad(self.bias, (0, extra)), (*self.scale, *[zero] * extra))


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
    scale: tuple[Multiplier, ...]
    if family == "D":
        scale = numerics.multipliers_d(x.scale[0], w.scale, y.scale[0])
    else:
        scale = tuple(numerics.multiplier(x.scale, w.scale, y.scale))
    return Channels(folded.astype(np.int32), scale * len(folded) if len(scale) == 1 else scale)


def by_pairs(matrix: Int8) -> Int8:
    """[O, K] for ``edge_dot``: per pair of channels, four of the first, four of the second, and so on.

    O is filled up to a multiple of 2 and K of 4, with zeros. Helium reads sixteen of each channel at least.
    """
    o, k = matrix.shape
    full = np.pad(matrix, ((0, -o % 2), (0, -k % 4)))
    groups = full.reshape(len(full) // 2, 2, full.shape[1] // 4, 4)  # pair, channel, group of four products
    return np.pad(groups.transpose(0, 2, 1, 3).reshape(-1), (0, 2 * max(16 - full.shape[1], 0)))


def by_fours(matrix: Int8) -> Int8:
    """[O, K] for ``edge_dense``: per block of four channels, four products of each in turn, then the rest.

    The last ``O % 4`` channels follow as plain rows. Of a block's turns Helium reads 64 bytes at once:
    zeros follow where the last block is shorter.
    """
    o, k = matrix.shape
    in_turns, in_blocks = k - k % 4, o - o % 4  # products of a channel, and channels, that are laid out so
    blocks = matrix[:in_blocks].reshape(o // 4, 4, k)
    turns = blocks[:, :, :in_turns].reshape(o // 4, 4, k // 4, 4).transpose(0, 2, 1, 3)
    rest = blocks[:, :, in_turns:]
    each_block = np.concatenate([turns.reshape(o // 4, 4 * in_turns), rest.reshape(o // 4, 4 * (k % 4))], 1)
    rows_after = matrix[in_blocks:].reshape(-1)
    read_past = 64 - 4 * k - len(rows_after) if in_blocks and in_turns else 0
    return np.concatenate([each_block.reshape(-1), rows_after, np.zeros(max(read_past, 0), np.int8)])
