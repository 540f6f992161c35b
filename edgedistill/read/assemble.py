"""The integer graph under construction, whatever file it is read from.

Holds what readers share: constants by unique names, activations that saturation does not
do as tables, pooling as constant depthwise convolutions, and the list of everything that
the graph has no operator for, so that a user sees all of it at once.

Legend: O output channels, C channels, K kernel positions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import InputError, UnsupportedOpError
from edgedistill.ir import ops
from edgedistill.ir.graph import Graph, Op, QParams, Tensor
from edgedistill.read.functions import entries_of

FileAct = Literal["none", "relu", "relu6", "relu_n1_to_1"]
Weighted = ops.Conv2D | ops.DepthwiseConv2D | ops.FullyConnected

MAX_VALUES = 2**28
"""Values of one tensor: 256 MiB of int8, more than any device of this kind has."""

MAX_WEIGHTS = 2**24
"""Weights that a reader makes by itself, for pooling or dilation: more than such a device's flash."""

# TFLite's own check of a bias scale: kernels/kernel_util.cc, GetQuantizedConvolutionMultipler
_BIAS_TOLERANCE = 0.02
_SAME_SCALE = 1e-6  # a few float32 roundings
_RELU6_TOLERANCE = 1e-6
_BOUNDS = {
    "none": (-math.inf, math.inf),
    "relu": (0.0, math.inf),
    "relu6": (0.0, 6.0),
    "relu_n1_to_1": (-1.0, 1.0),
}


class Unsupported(Exception):
    """One operator of the file that the graph cannot express; the text says why."""


class Assembly:
    """Tensors, operators, notes for the user, and problems, as they are found."""

    def __init__(self, name: str, where: str) -> None:
        self.name = name
        self.where = where
        self.tensors: dict[str, Tensor] = {}
        self.ops: list[Op] = []
        self.notes: list[str] = []
        self.problems: list[str] = []

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, NHWC with batch 1."""
        return self.tensors[name].shape

    def quant(self, name: str) -> QParams:
        """The parameters of an activation."""
        quant = self.tensors[name].quant
        assert quant is not None, f"{name} has no scale"
        return quant

    def activation(self, name: str, shape: tuple[int, ...], quant: QParams) -> str:
        """Adds an int8 activation."""
        if math.prod(shape) > MAX_VALUES:
            raise Unsupported(f"{name!r} would hold {math.prod(shape):,} values, more than {MAX_VALUES:,}")
        self.tensors[name] = Tensor(name, shape, "int8", quant)
        return name

    def like(self, name: str, y: str) -> str:
        """A new activation with the shape and scale of ``y``."""
        return self.activation(self.unique(name), self.shape(y), self.quant(y))

    def unique(self, name: str) -> str:
        """``name``, or with a number where it is taken."""
        if name not in self.tensors:
            return name
        return next(
            f"{name}#{i}" for i in range(1, len(self.tensors) + 2) if f"{name}#{i}" not in self.tensors
        )

    def constant(self, name: str, data: NDArray[Any], quant: QParams | None) -> str:
        """Adds a constant; the same one is added once, another of the same name gets a number."""
        made = Tensor(name, data.shape, _dtype(data), quant, np.ascontiguousarray(data))
        for known in (self.tensors.get(name), *(self.tensors.get(f"{name}#{i}") for i in range(1, 9))):
            if known is not None and _equal(known, made):
                return known.name
        made = replace(made, name=self.unique(name))
        self.tensors[made.name] = made
        return made.name

    def emit(self, attrs: ops.Attrs, inputs: Sequence[str], y: str) -> None:
        """Appends an operator that writes ``y`` and is called after it."""
        self.ops.append(Op(y, attrs, tuple(inputs), (y,)))

    def emit_act(
        self,
        attrs: Weighted | ops.Add | ops.Mul,
        inputs: Sequence[str],
        y: str,
        act: FileAct,
    ) -> None:
        """Appends an operator that ends in an activation: saturation where that is the same, else a table."""
        quant = self.quant(y)
        low, high = clamp_range(act, quant)
        if (low, high) == (-128, 127):
            self.emit(replace(attrs, act=saturating(act, quant)), inputs, y)
            return
        before = self.like(f"{y}/before_{act}", y)
        self.emit(attrs, inputs, before)
        self.clip(before, y, low, high)

    def clip(self, x: str, y: str, low: int, high: int) -> None:
        """int8 bounds between tensors of one scale, as a table."""
        self.lookup(x, y, np.clip(np.arange(-128, 128), low, high).astype(np.int8))

    def lookup(self, x: str, y: str, entries: NDArray[np.int8]) -> None:
        """A table [256] that is known by its entries alone."""
        table = self.constant(f"{y}.table", entries, None)
        self.emit(ops.Table("lookup"), (x, table), y)

    def function(
        self,
        x: str,
        y: str,
        real: Callable[[NDArray[Any]], NDArray[Any]],
        attrs: ops.Table,
    ) -> None:
        """A unary function of real numbers, computed in float64 and rounded half to even."""
        table = self.constant(f"{y}.table", entries_of(real, self.quant(x), self.quant(y)), None)
        self.emit(attrs, (x, table), y)

    def requantise(self, x: str, y: str) -> None:
        """From one scale to another, as a table: the same in every runtime."""
        self.lookup(x, y, entries_of(lambda real: real, self.quant(x), self.quant(y)))

    def weights(self, name: str, data: NDArray[np.int8], scale: NDArray[np.float32], axis: int) -> str:
        """Weights with one scale per output channel along ``axis``; a single scale is repeated."""
        channels = data.shape[axis]
        if len(scale) not in (1, channels):
            raise Unsupported(f"{len(scale)} scales for {channels} output channels of {name!r}")
        if (data == -128).any():
            raise Unsupported(
                f"the weights {name!r} hold -128, at which kernels disagree: convert with a narrow range"
            )
        per_channel = np.broadcast_to(scale, (channels,)).astype(np.float32)
        return self.constant(name, data, QParams(per_channel, 0, axis))

    def bias(
        self, name: str, data: NDArray[np.int32] | None, x: str, w: str, scale: NDArray[np.float32] | None
    ) -> str:
        """A bias [O] of scale ``s_x * s_w``; missing: zeros. ``scale`` is what the file says of it."""
        s_w = self.tensors[w].quant
        assert s_w is not None
        product = np.asarray(self.quant(x).scale * s_w.scale, np.float32)
        if data is None:
            data = np.zeros(len(product), np.int32)
        if data.shape != product.shape:
            raise Unsupported(f"the bias {name!r} is {list(data.shape)} for {len(product)} output channels")
        if scale is not None and len(scale) in (1, len(product)):
            product = _bias_scale(name, product, scale)
        if not (product > 0).all():
            raise Unsupported(f"the bias {name!r} has no positive scale")
        return self.constant(name, data, QParams(product, 0, 0))

    def average(
        self,
        x: str,
        y: str,
        kernel: ops.Pair,
        stride: ops.Pair,
        pads: ops.Pads = (0, 0, 0, 0),
        nudge: int = 0,
    ) -> None:
        """Average pooling as a depthwise convolution with weights 127 of scale ``1 / (127 K)``.

        ``nudge`` is the bias: -1 or 1 take an average that lies on a half down or up (by 1/127 of one value).
        """
        channels, positions = self.shape(x)[3], kernel[0] * kernel[1]
        if channels * positions > MAX_WEIGHTS:
            raise Unsupported(f"a kernel of {kernel[0]} x {kernel[1]} over {channels} channels")
        scale = np.array([1 / (127 * positions)], np.float32)
        w = self.weights(f"{y}.w", np.full((1, *kernel, channels), 127, np.int8), scale, 3)
        b = self.bias(f"{y}.b", np.full(channels, nudge, np.int32), x, w, None)
        self.emit(ops.DepthwiseConv2D(stride, pads, constant=True), (x, w, b), y)

    def pad(self, x: str, y: str, pads: ops.Pads) -> None:
        """Padding with real zero on its own: a 1x1 depthwise convolution that changes no value."""
        self.average(x, y, (1, 1), (1, 1), pads)

    def moves(self, *names: str) -> bool:
        """Whether these activations have one scale and zero point, so that values can be moved."""
        first = self.quant(names[0])
        return all(
            self.quant(n).scale[0] == first.scale[0] and self.quant(n).zero_point == first.zero_point
            for n in names
        )

    def reshape(self, x: str, shape: tuple[int, ...], y: str) -> str:
        """A new activation: the values of ``x`` in another shape."""
        made = self.activation(self.unique(y), shape, self.quant(x))
        self.emit(ops.Reshape(), (x,), made)
        return made

    def note_softmax(self, x: str) -> None:
        """Tells that the network ends in ``x``, before the softmax of the file."""
        q = self.quant(x)
        self.notes.append(
            f"the softmax at the end is left out: the output is {x!r}, the scores before it (their order is "
            f"the same); softmax of {float(q.scale[0]):.9g} * (q - {q.zero_point}) gives the probabilities"
        )

    def graph(self, inputs: Sequence[str], outputs: Sequence[str], labels: Sequence[str] = ()) -> Graph:
        """The finished graph, with only the tensors that it uses.

        Raises:
            UnsupportedOpError: naming everything that was found unsupported.
        """
        if self.problems:
            count = len(self.problems)
            lines = "".join(f"\n    {problem}" for problem in self.problems)
            raise UnsupportedOpError(
                f"{count} operator{'s' if count > 1 else ''} of this file cannot be compiled:{lines}",
                where=self.where,
                fix="replace these in the network and convert it again",
            )
        used = {*inputs, *outputs, *(n for op in self.ops for n in (*op.inputs, *op.outputs))}
        computed = {n for op in self.ops for n in op.outputs}
        for name in outputs:
            if name not in computed:
                raise InputError(
                    f"the output {name!r} is computed by no operator",
                    where=self.where,
                    fix="give a whole network",
                )
        tensors = {n: t for n, t in self.tensors.items() if n in used}
        return Graph(
            self.name, tensors, tuple(self.ops), tuple(inputs), tuple(dict.fromkeys(outputs)), tuple(labels)
        )


def clamp_range(act: FileAct, quant: QParams) -> tuple[int, int]:
    """The int8 values between which an activation clamps an output of these parameters."""
    low, high = _BOUNDS[act]
    scale = float(quant.scale[0])

    def q(real: float, edge: int) -> int:
        return (
            edge
            if math.isinf(real)
            else max(-128, min(127, quant.zero_point + math.floor(real / scale + 0.5)))
        )

    return q(low, -128), q(high, 127)


def saturating(act: FileAct, quant: QParams) -> ops.Act:
    """How the graph calls an activation that saturation to int8 does."""
    if act not in ("relu", "relu6") or quant.zero_point != -128:
        return "none"
    return "relu6" if act == "relu6" and ends_at_6(quant) else "relu"


def ends_at_6(quant: QParams) -> bool:
    """Whether the int8 range ends at or before 6, with zero at its other end."""
    return quant.zero_point == -128 and 255 * float(quant.scale[0]) <= 6 * (1 + _RELU6_TOLERANCE)


def dilated(data: NDArray[np.int8], dilation: ops.Pair) -> NDArray[np.int8]:
    """A kernel [_,KH,KW,_] with zeros between its rows and columns: the same sums without dilation."""
    if dilation == (1, 1):
        return data
    n, h, w, c = data.shape
    shape = (n, (h - 1) * dilation[0] + 1, (w - 1) * dilation[1] + 1, c)
    if math.prod(shape) > MAX_WEIGHTS:
        raise Unsupported(f"dilation {dilation}: its kernel would hold {math.prod(shape):,} values")
    wide = np.zeros(shape, np.int8)
    wide[:, :: dilation[0], :: dilation[1]] = data
    return wide


def parameters(scale: Sequence[float] | NDArray[Any], zero_point: int) -> QParams:
    """Per-tensor parameters of an activation, checked."""
    s = np.asarray(scale, np.float32).reshape(-1)
    if s.shape != (1,) or not np.isfinite(s[0]) or s[0] <= 0:
        raise Unsupported(f"scale {s[:3].tolist()}: an int8 activation has one positive scale")
    if not -128 <= zero_point <= 127:
        raise Unsupported(f"zero point {zero_point} is no int8")
    return QParams(s, int(zero_point))


def _bias_scale(name: str, product: NDArray[np.float32], scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the file says where that is the accumulator's scale but for roundings, else the latter."""
    if not np.isfinite(scale).all():
        raise Unsupported(f"the bias {name!r} has no finite scale")
    given = np.broadcast_to(scale, product.shape).astype(np.float32)
    off = float(
        np.abs(given.astype(np.float64) - product).max(initial=0) / max(product.max(initial=0), 1e-45)
    )
    if off > _BIAS_TOLERANCE:
        raise Unsupported(f"the bias {name!r} has not its accumulator's scale (off by {off:.0%})")
    near = np.abs(given.astype(np.float64) - product) <= _SAME_SCALE * product
    return given if near.all() else product


def _dtype(data: NDArray[Any]) -> Literal["int8", "int32"]:
    assert data.dtype in (np.int8, np.int32), data.dtype
    return "int8" if data.dtype == np.int8 else "int32"


def _equal(a: Tensor, b: Tensor) -> bool:
    if a.data is None or b.data is None or a.data.dtype != b.data.dtype or a.shape != b.shape:
        return False
    if (a.quant is None) != (b.quant is None):
        return False
    if a.quant is not None and b.quant is not None:
        same = np.array_equal(a.quant.scale, b.quant.scale) and a.quant.axis == b.quant.axis
        if not same or a.quant.zero_point != b.quant.zero_point:
            return False
    return bool(np.array_equal(a.data, b.data))
