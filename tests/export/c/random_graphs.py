"""A hypothesis strategy of int8 graphs with shapes, strides and paddings that kernels like to get wrong."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from edgedistill.ir.graph import Graph
from edgedistill.ir.ops import Conv2D, DepthwiseConv2D
from tests.graphs import Builder, _window

MAX_VALUES = 3000  # of an activation


class Net(Builder):
    """With kernels of unequal sides."""

    def window(self, x: str, channels: int | None, draw: st.DrawFn, quant: float | None = None) -> str:
        """CONV_2D, or DEPTHWISE_CONV_2D where ``channels`` is None."""
        _, h, w, c = self.tensors[x].shape
        pads = draw(st.tuples(*[st.integers(0, 2)] * 4))
        kernel = (
            draw(st.integers(1, min(4, h + sum(pads[:2])))),
            draw(st.integers(1, min(5, w + sum(pads[2:])))),
        )
        stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
        out = self._output(quant, None, draw(st.sampled_from(["none", "relu"])))
        oh, ow = _window(h, w, kernel, stride, pads)
        if channels is None:
            weights = self._weights(x, (1, *kernel, c), c, 3, out)
            return self._emit(DepthwiseConv2D(stride, pads), (x, *weights), (1, oh, ow, c), out)
        weights = self._weights(x, (channels, *kernel, c), channels, 0, out)
        return self._emit(Conv2D(stride, pads), (x, *weights), (1, oh, ow, channels), out)

    def residual(self, x: str, draw: st.DrawFn) -> str:
        """x + conv(x), or conv(y) + y for a y that nothing else reads; any scales or odd ratios."""
        _, _, _, c = self.tensors[x].shape
        free = draw(st.booleans())
        p_a, p_b = (draw(st.integers(60, 1000)) for _ in range(2))
        if draw(st.booleans()):
            x = self.table(x, "tanh", 0.008, 3)
        s_x = self._scale(x)
        other = self.conv(x, c, draw(st.sampled_from([1, 3])), scale=0.013 if free else s_x / p_a * p_b)
        if self.tensors[other].shape != self.tensors[x].shape:  # a 1x1 kernel with padding grew
            return other
        pair = (x, other) if draw(st.booleans()) else (other, x)
        p = p_a if pair[0] == x else p_b
        return self.add(*pair, 255, p, act=draw(st.sampled_from(["none", "relu"])))

    def gate(self, x: str, draw: st.DrawFn) -> str:
        """Squeeze and excite, with any scale of the gate or one under the rule."""
        gate = self.average(x)
        gate = self.conv(gate, self.tensors[x].shape[3], 1, pads=(0, 0, 0, 0), scale=0.04)
        gate = self.table(gate, "sigmoid", draw(st.sampled_from([1 / 255, 0.00456])), -128)
        return self.mul(x, gate, 255, draw(st.integers(1, 300)), zero_point=7)


STEPS = ("conv", "depthwise", "residual", "gate", "max_pool", "table", "concat", "twice", "square")


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Two to six blocks on a small picture, and perhaps a classifier."""
    net = Net("random", draw(st.integers(0, 2**31)))
    shape = (1, draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    x = net.input(shape, 0.02, draw(st.integers(-128, 127)))
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=2, max_size=6)):
        _, h, w, _ = net.tensors[x].shape
        match step:
            case "conv":
                x = net.window(x, draw(st.integers(1, 9)), draw)
            case "depthwise":
                x = net.window(x, None, draw)
            case "residual":
                x = net.residual(x, draw)
            case "gate":
                x = net.gate(x, draw)
            case "max_pool":
                x = net.max_pool(
                    x, (min(2, h), min(3, w)), draw(st.sampled_from([(1, 1), (2, 2)])), (1, 0, 0, 1)
                )
            case "table":
                x = net.table(x, draw(st.sampled_from(["gelu", "tanh"])), 0.008, -9)
            case "concat":
                zero = net._quant(x).zero_point
                x = net.concat(x, net.conv(x, 3, scale=net._scale(x), zero_point=zero), x)
            case "twice":
                x = net.add(x, x, 255, draw(st.integers(200, 400)))
            case "square":
                x = net.mul(x, x, draw(st.sampled_from([1, 3, 255, 777])), 1)
        if np.prod(net.tensors[x].shape) > MAX_VALUES:
            x = net.max_pool(x, (2, 2), (3, 3), (1, 1, 1, 1))
    if draw(st.booleans()):
        x = net.dense(net.reshape(x), draw(st.integers(1, 9)))
    elif draw(st.booleans()):
        x = net.reshape(x)
    return net.graph(x)
