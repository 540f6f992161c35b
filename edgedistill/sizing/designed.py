"""Small networks that a cost model is fitted to: their shapes, kernels and chains follow a seeded design.

Costs of an operator depend on what stands beside it: a compiler makes one function of a kernel that
is called once, and a runtime's overhead is that of a network. So the design has chains, not single
operators. Shapes are points of a Sobol' sequence (Sobol' 1967), scrambled by a seed (Owen 1998),
which spreads few networks more evenly than independent draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from edgedistill.ir import ops
from edgedistill.ir.graph import Graph, Op, Tensor
from edgedistill.ir.ops import Act, Attrs, Function, Pads, Pair
from edgedistill.quant import ranges
from edgedistill.quant.integer import to_integer

SEED = 20
_NUMBERS = 40  # of one network; a structure that draws more begins again


class Draw:
    """Numbers of one network, from a point of the design; ``scale`` times as large at most.

    ``free``: its sums and products have any scales, as networks made elsewhere have them.
    """

    def __init__(self, point: Sequence[float], scale: int = 1, *, free: bool = False) -> None:
        self._point, self._at, self._scale, self.free = point, 0, scale, free

    def _next(self) -> float:
        self._at += 1
        return float(self._point[(self._at - 1) % len(self._point)])

    def whole(self, low: int, high: int) -> int:
        """From ``low`` to ``high``, both included, small numbers as often as large ones."""
        return min(high, int(low * ((high + 1) / low) ** self._next()))

    def size(self, low: int, high: int) -> int:
        """A side or a number of channels."""
        return self.whole(low, high * self._scale)

    def one_of(self, *values: int) -> int:
        return values[min(len(values) - 1, int(self._next() * len(values)))]


class Net:
    """Writes a float graph operator by operator, with random weights."""

    def __init__(self, name: str, seed: int, shape: tuple[int, int, int]) -> None:
        self._name, self._rng = name, np.random.default_rng(seed)
        self._tensors = {"input": Tensor("input", (1, *shape), "float32")}
        self._ops: list[Op] = []

    def shape(self, x: str) -> tuple[int, ...]:
        return self._tensors[x].shape

    def conv(self, x: str, channels: int, kernel: Pair, stride: Pair = (1, 1), *, act: Act = "relu") -> str:
        """CONV_2D with TFLite's SAME padding."""
        _, h, w, c = self.shape(x)
        out, pads = _same((h, w), kernel, stride)
        constants = self._constants((channels, *kernel, c), channels)
        return self._emit(ops.Conv2D(stride, pads, act), (x, *constants), (1, *out, channels))

    def depthwise(self, x: str, kernel: Pair, stride: Pair = (1, 1), *, act: Act = "relu") -> str:
        """DEPTHWISE_CONV_2D with SAME padding."""
        _, h, w, c = self.shape(x)
        out, pads = _same((h, w), kernel, stride)
        constants = self._constants((1, *kernel, c), c)
        return self._emit(ops.DepthwiseConv2D(stride, pads, act), (x, *constants), (1, *out, c))

    def average(self, x: str) -> str:
        """The mean over all positions, as students have it: a depthwise convolution of equal weights."""
        _, h, w, c = self.shape(x)
        weights = self._constant(np.full((1, h, w, c), 1 / (h * w), np.float32))
        constants = (weights, self._constant(np.zeros(c, np.float32)))
        return self._emit(ops.DepthwiseConv2D(constant=True), (x, *constants), (1, 1, 1, c))

    def dense(self, x: str, outputs: int) -> str:
        """FULLY_CONNECTED on all values."""
        count = int(np.prod(self.shape(x)))
        flat = self._emit(ops.Reshape(), (x,), (1, count))
        return self._emit(
            ops.FullyConnected(), (flat, *self._constants((outputs, count), outputs)), (1, outputs)
        )

    def add(self, a: str, b: str, *, act: Act = "relu") -> str:
        return self._emit(ops.Add(act), (a, b), self.shape(a))

    def mul(self, a: str, b: str) -> str:
        return self._emit(ops.Mul(), (a, b), self.shape(a))

    def table(self, x: str, function: Function) -> str:
        return self._emit(ops.Table(function), (x,), self.shape(x))

    def max_pool(self, x: str, kernel: Pair, stride: Pair) -> str:
        _, h, w, c = self.shape(x)
        out, pads = _same((h, w), kernel, stride)
        return self._emit(ops.MaxPool2D(kernel, stride, pads), (x,), (1, *out, c))

    def concat(self, *xs: str) -> str:
        channels = sum(self.shape(x)[3] for x in xs)
        return self._emit(ops.Concat(), xs, (*self.shape(xs[0])[:3], channels))

    def integer(self, *, free: bool = False) -> Graph:
        """The int8 graph, with scales as an untrained student has them, or ``free`` ones."""
        last = self._ops[-1].outputs
        graph = ranges.separate_fixed_operands(
            Graph(self._name, self._tensors, tuple(self._ops), ("input",), last)
        )
        chosen, together = ranges.choose(graph, {}), ranges.moved(graph)
        if free:
            sums = [op.outputs[0] for op in graph.ops if isinstance(op.attrs, ops.Add | ops.Mul)]
            for name in {member for output in sums for member in together[output]}:
                chosen[name] = replace(chosen[name], scale=chosen[name].scale * np.float32(0.9871))
        return to_integer(graph, chosen)

    def _emit(self, attrs: Attrs, inputs: tuple[str, ...], shape: tuple[int, ...]) -> str:
        name = f"{attrs.kind.lower()}{len(self._ops)}"
        self._ops.append(Op(name, attrs, inputs, (name,)))
        self._tensors[name] = Tensor(name, shape, "float32")
        return name

    def _constant(self, data: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> str:
        name = f"constant{len(self._tensors)}"
        self._tensors[name] = Tensor(name, data.shape, "float32", data=data)
        return name

    def _constants(self, shape: tuple[int, ...], channels: int) -> tuple[str, str]:
        weights = self._rng.normal(0, 1, shape).astype(np.float32)
        bias = self._rng.normal(0, 0.1, channels).astype(np.float32)
        return self._constant(weights), self._constant(bias)


def networks(count: int, seed: int = SEED, scale: int = 1) -> tuple[Graph, ...]:
    """So many int8 networks; the first ones of a larger count are the same.

    Args:
        count: of networks.
        seed: scrambles the design.
        scale: sides and channels are up to so many times as large as for a microcontroller.
    """
    from scipy.stats import qmc

    points = qmc.Sobol(_NUMBERS, seed=seed).random_base2(max(count - 1, 1).bit_length())
    made = []
    for i, point in enumerate(points[:count]):
        draw = Draw(point.tolist(), scale, free=i % _PERIOD in _FREE)
        made.append(STRUCTURES[i % len(STRUCTURES)](f"designed{i}", i, draw))
    return tuple(made)


def _residual(name: str, seed: int, draw: Draw) -> Graph:
    """A stem and blocks of two convolutions and a sum; the average and the classifier stand alone."""
    side, width = draw.size(5, 24), draw.size(2, 24)
    net = Net(name, seed, (side, draw.size(5, 24), draw.one_of(1, 3, 3, 4, 2)))
    kernel = draw.one_of(3, 3, 5)
    x = net.conv("input", width, (kernel, kernel))
    for _ in range(draw.one_of(1, 2, 3)):
        stride, wider = draw.one_of(1, 2, 2), draw.size(2, 48)
        outputs = width if stride == 1 and draw.one_of(0, 1) else wider
        y = net.conv(net.conv(x, outputs, (3, 3), (stride, stride)), outputs, (3, 3), act="none")
        same = stride == 1 and outputs == width
        x = net.add(y, x if same else net.conv(x, outputs, (1, 1), (stride, stride), act="none"))
        width = outputs
    return _classifier(net, x, draw)


def _separable(name: str, seed: int, draw: Draw) -> Graph:
    """A wide first kernel, then depthwise and pointwise convolutions in turns."""
    width = draw.size(3, 72)
    net = Net(name, seed, (draw.size(10, 49), draw.size(8, 40), draw.one_of(1, 1, 3)))
    kernel = (draw.whole(3, 10), draw.whole(3, 8))
    x = net.conv("input", width, kernel, (2, draw.one_of(2, 4)))
    for _ in range(draw.one_of(1, 2, 3)):
        size, stride = draw.one_of(3, 3, 3, 5, 7), draw.one_of(1, 1, 2)
        x = net.depthwise(x, (size, size), (stride, stride))
        x = net.conv(x, draw.one_of(width, width, draw.size(3, 96)), (1, 1))
    return _classifier(net, x, draw)


def _inverted(name: str, seed: int, draw: Draw) -> Graph:
    """Inverted residuals: expanded, depthwise, projected, and added where shapes allow."""
    width = draw.size(2, 20)
    net = Net(name, seed, (draw.size(6, 24), draw.size(6, 24), draw.one_of(1, 3, 3)))
    x = net.conv("input", width, (3, 3), act="relu6")
    for _ in range(draw.one_of(1, 2, 3)):
        size, stride, expansion = draw.one_of(3, 3, 5), draw.one_of(1, 1, 2), draw.one_of(1, 2, 3, 4, 6)
        outputs = draw.one_of(width, draw.size(2, 32))
        y = net.conv(x, width * expansion, (1, 1), act="relu6") if expansion > 1 else x
        y = net.depthwise(y, (size, size), (stride, stride), act="relu6")
        y = net.conv(y, outputs, (1, 1), act="none")
        x = net.add(x, y, act="none") if stride == 1 and outputs == width else y
        width = outputs
    return _classifier(net, net.conv(x, draw.size(4, 128), (1, 1), act="relu6"), draw)


def _mixed(name: str, seed: int, draw: Draw) -> Graph:
    """What students of a user's own have: pools, parts side by side, gates, tables, sums of branches."""
    width = draw.size(2, 32)
    net = Net(name, seed, (draw.size(6, 24), draw.size(6, 24), draw.one_of(1, 3, 5)))
    x = net.conv("input", width, (3, 3), (draw.one_of(1, 2), 1), act="none")
    x = net.table(x, "hardswish")
    size = draw.one_of(2, 3)
    x = net.max_pool(x, (size, size), (2, 2))
    branch = net.conv(x, draw.size(2, 32), (3, 3))
    other = net.conv(x, draw.size(2, 24), (1, 1))
    x = net.concat(branch, other)
    gate = net.conv(net.average(x), net.shape(x)[3], (1, 1), act="none")
    x = net.mul(x, net.table(gate, "sigmoid"))
    x = net.conv(x, width, (1, 1), act="none")
    x = net.add(net.depthwise(x, (3, 3), act="none"), net.depthwise(x, (3, 3), act="none"))
    x = net.max_pool(x, (2, 2), (2, 2))
    return _classifier(net, x, draw)


def _perceptron(name: str, seed: int, draw: Draw) -> Graph:
    """Dense layers alone."""
    net = Net(name, seed, (1, 1, draw.size(8, 640)))
    x = "input"
    for _ in range(draw.one_of(2, 3, 4)):
        x = net.dense(x, draw.size(3, 200))
    return net.integer()


def _classifier(net: Net, x: str, draw: Draw) -> Graph:
    net.dense(net.average(x), draw.size(2, 100))
    return net.integer(free=draw.free)


STRUCTURES: tuple[Callable[[str, int, Draw], Graph], ...] = (
    _residual,
    _separable,
    _inverted,
    _residual,
    _separable,
    _inverted,
    _mixed,
    _perceptron,
)
"""In turns: what students are made of comes more often than what they may hold."""

_PERIOD = 2 * len(STRUCTURES)
_FREE = (11, 14)  # of each period, one network of residuals and one of all the rest


def _same(sides: Pair, kernel: Pair, stride: Pair) -> tuple[Pair, Pads]:
    """TFLite's SAME padding: the output's sides, and what is filled up on each side of the input."""
    out = (-(-sides[0] // stride[0]), -(-sides[1] // stride[1]))
    extra = [max((o - 1) * s + k - n, 0) for n, o, k, s in zip(sides, out, kernel, stride, strict=True)]
    return out, (extra[0] // 2, extra[0] - extra[0] // 2, extra[1] // 2, extra[1] - extra[1] // 2)
