"""Small random graphs, integer and float32, that the tests of printers and runners share.

Every integer graph obeys the rules of exactness: weights in [-127, 127], odd denominators
in ADD and MUL, equal scales in MAX_POOL_2D and CONCATENATION.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.ir.graph import Graph, Op, QParams, Tensor
from edgedistill.ir.ops import (
    Act,
    Add,
    Attrs,
    Concat,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool2D,
    Mul,
    Pads,
    Pair,
    Reshape,
    Table,
)


def qparams(scale: float, zero_point: int = 0) -> QParams:
    """Per-tensor parameters."""
    return QParams(np.array([scale], np.float32), zero_point)


class Builder:
    """Writes a graph operator by operator; names follow the operators' order."""

    def __init__(self, name: str, seed: int, integer: bool = True) -> None:
        self.name = name
        self.rng = np.random.default_rng(seed)
        self.integer = integer
        self.tensors: dict[str, Tensor] = {}
        self.ops: list[Op] = []
        self.inputs: list[str] = []

    def input(
        self, shape: tuple[int, ...], scale: float = 1 / 64, zero_point: int = 0, name: str = "image"
    ) -> str:
        self._activation(name, shape, qparams(scale, zero_point))
        self.inputs.append(name)
        return name

    def _activation(self, name: str, shape: tuple[int, ...], quant: QParams) -> None:
        dtype: Any = "int8" if self.integer else "float32"
        self.tensors[name] = Tensor(name, shape, dtype, quant if self.integer else None)

    def _emit(self, attrs: Attrs, inputs: tuple[str, ...], shape: tuple[int, ...], quant: QParams) -> str:
        name = f"{attrs.kind.lower()}_{len(self.ops)}"
        self.ops.append(Op(name, attrs, inputs, (name,)))
        self._activation(name, shape, quant)
        return name

    def _scale(self, x: str) -> float:
        q = self.tensors[x].quant
        return float(q.scale[0]) if q is not None else 1.0

    def _quant(self, x: str) -> QParams:
        return self.tensors[x].quant or qparams(1.0)

    def _output(self, scale: float | None, zero_point: int | None, act: Act) -> QParams:
        if scale is None:
            scale = float(self.rng.uniform(0.01, 0.0235))
        if zero_point is None:
            zero_point = int(self.rng.integers(-30, 30))
        if act != "none":
            zero_point = -128
        return qparams(scale, zero_point)

    def _weights(
        self, x: str, shape: tuple[int, ...], channels: int, axis: int, out: QParams
    ) -> tuple[str, str]:
        """Random weights and bias whose outputs spread over the int8 range."""
        stem = f"op{len(self.ops)}"
        fan_in = int(np.prod(shape)) // channels
        if not self.integer:
            w = self.rng.normal(0, 1 / np.sqrt(fan_in), shape).astype(np.float32)
            self.tensors[stem + "_w"] = Tensor(stem + "_w", shape, "float32", None, w)
            b = self.rng.normal(0, 0.2, channels).astype(np.float32)
            self.tensors[stem + "_b"] = Tensor(stem + "_b", (channels,), "float32", None, b)
            return stem + "_w", stem + "_b"
        multiplier = 50.0 / (np.sqrt(fan_in) * 60.0 * 73.0)
        s_x, s_y = np.float32(self._scale(x)), np.float32(out.scale[0])
        s_w = (multiplier * s_y / s_x * self.rng.uniform(0.6, 1.4, channels)).astype(np.float32)
        w8 = self.rng.integers(-127, 128, shape).astype(np.int8)
        self.tensors[stem + "_w"] = Tensor(stem + "_w", shape, "int8", QParams(s_w, 0, axis), w8)
        bias = self.rng.normal(0, 20 / multiplier, channels).astype(np.int32)
        bias_quant = QParams((s_x * s_w).astype(np.float32), 0, 0)
        self.tensors[stem + "_b"] = Tensor(stem + "_b", (channels,), "int32", bias_quant, bias)
        return stem + "_w", stem + "_b"

    def conv(
        self,
        x: str,
        channels: int,
        kernel: int = 3,
        stride: Pair = (1, 1),
        pads: Pads = (1, 1, 1, 1),
        act: Act = "none",
        scale: float | None = None,
        zero_point: int | None = None,
    ) -> str:
        _, h, w, c = self.tensors[x].shape
        out = self._output(scale, zero_point, act)
        weights = self._weights(x, (channels, kernel, kernel, c), channels, 0, out)
        oh, ow = _window(h, w, (kernel, kernel), stride, pads)
        return self._emit(Conv2D(stride, pads, act), (x, *weights), (1, oh, ow, channels), out)

    def depthwise(
        self,
        x: str,
        kernel: int = 3,
        stride: Pair = (1, 1),
        pads: Pads = (1, 1, 1, 1),
        act: Act = "none",
        scale: float | None = None,
        zero_point: int | None = None,
    ) -> str:
        _, h, w, c = self.tensors[x].shape
        out = self._output(scale, zero_point, act)
        weights = self._weights(x, (1, kernel, kernel, c), c, 3, out)
        oh, ow = _window(h, w, (kernel, kernel), stride, pads)
        return self._emit(DepthwiseConv2D(stride, pads, act), (x, *weights), (1, oh, ow, c), out)

    def average(self, x: str, scale: float | None = None, zero_point: int | None = None) -> str:
        """Global average pooling as a constant depthwise convolution (weights 127, scale 1/(127*H*W))."""
        _, h, w, c = self.tensors[x].shape
        stem = f"op{len(self.ops)}"
        quant = self._quant(x)
        out = qparams(scale or self._scale(x), quant.zero_point if zero_point is None else zero_point)
        if self.integer:
            s_w = np.full(c, 1 / (127 * h * w), np.float32)
            ones = np.full((1, h, w, c), 127, np.int8)
            self.tensors[stem + "_w"] = Tensor(stem + "_w", ones.shape, "int8", QParams(s_w, 0, 3), ones)
            bias_quant = QParams((quant.scale[0] * s_w).astype(np.float32), 0, 0)
            self.tensors[stem + "_b"] = Tensor(stem + "_b", (c,), "int32", bias_quant, np.zeros(c, np.int32))
        else:
            mean = np.full((1, h, w, c), 1 / (h * w), np.float32)
            self.tensors[stem + "_w"] = Tensor(stem + "_w", mean.shape, "float32", None, mean)
            self.tensors[stem + "_b"] = Tensor(stem + "_b", (c,), "float32", None, np.zeros(c, np.float32))
        attrs = DepthwiseConv2D(constant=True)
        return self._emit(attrs, (x, stem + "_w", stem + "_b"), (1, 1, 1, c), out)

    def dense(self, x: str, channels: int, act: Act = "none", scale: float | None = None) -> str:
        out = self._output(scale, None, act)
        weights = self._weights(x, (channels, self.tensors[x].shape[1]), channels, 0, out)
        return self._emit(FullyConnected(act), (x, *weights), (1, channels), out)

    def add(self, a: str, b: str, q: int, p_a: int, act: Act = "none", zero_point: int = 3) -> str:
        """``s_y = s_a * q / p_a``; the caller made ``s_b = s_y * p_b / q``."""
        out = qparams(self._scale(a) * q / p_a, -128 if act != "none" else zero_point)
        return self._emit(Add(act), (a, b), self.tensors[a].shape, out)

    def mul(self, a: str, b: str, q: int, p: int, zero_point: int = -5) -> str:
        """``s_y = s_a * s_b * q / p``."""
        out = qparams(self._scale(a) * self._scale(b) * q / p, zero_point)
        return self._emit(Mul(), (a, b), self.tensors[a].shape, out)

    def max_pool(
        self, x: str, kernel: Pair = (2, 2), stride: Pair = (2, 2), pads: Pads = (0, 0, 0, 0)
    ) -> str:
        _, h, w, c = self.tensors[x].shape
        oh, ow = _window(h, w, kernel, stride, pads)
        return self._emit(MaxPool2D(kernel, stride, pads), (x,), (1, oh, ow, c), self._quant(x))

    def concat(self, *xs: str) -> str:
        channels = sum(self.tensors[x].shape[3] for x in xs)
        return self._emit(Concat(), xs, (*self.tensors[xs[0]].shape[:3], channels), self._quant(xs[0]))

    def reshape(self, x: str) -> str:
        size = int(np.prod(self.tensors[x].shape))
        return self._emit(Reshape(), (x,), (1, size), self._quant(x))

    def table(self, x: str, fn: Any, scale: float, zero_point: int, alpha: float = 0.0) -> str:
        """A table of the function itself, from float64."""
        inputs: tuple[str, ...] = (x,)
        if self.integer:
            quant = self._quant(x)
            q = np.arange(-128, 128)
            real = FUNCTIONS[fn]((q - quant.zero_point).astype(np.float64) * float(quant.scale[0]), alpha)
            entries = np.clip(np.rint(real / scale) + zero_point, -128, 127).astype(np.int8)
            name = f"op{len(self.ops)}_table"
            self.tensors[name] = Tensor(name, (256,), "int8", qparams(scale, zero_point), entries)
            inputs = (x, name)
        return self._emit(Table(fn, alpha), inputs, self.tensors[x].shape, qparams(scale, zero_point))

    def graph(self, *outputs: str, labels: tuple[str, ...] = ()) -> Graph:
        outputs = outputs or (self.ops[-1].outputs[0],)
        return Graph(self.name, self.tensors, tuple(self.ops), tuple(self.inputs), outputs, labels)


def _window(h: int, w: int, kernel: Pair, stride: Pair, pads: Pads) -> Pair:
    return (h + pads[0] + pads[1] - kernel[0]) // stride[0] + 1, (
        w + pads[2] + pads[3] - kernel[1]
    ) // stride[1] + 1


def _erf(x: NDArray[np.float64]) -> NDArray[np.float64]:
    from math import erf

    return np.array([erf(v) for v in x], np.float64)


FUNCTIONS: Mapping[str, Callable[[NDArray[np.float64], float], NDArray[np.float64]]] = {
    "sigmoid": lambda x, _: 1 / (1 + np.exp(-x)),
    "tanh": lambda x, _: np.tanh(x),
    "gelu": lambda x, _: x * 0.5 * (1 + _erf(x / np.sqrt(2))),
    "silu": lambda x, _: x / (1 + np.exp(-x)),
    "hardswish": lambda x, _: x * np.clip(x + 3, 0, 6) / 6,
    "hardsigmoid": lambda x, _: np.clip(x + 3, 0, 6) / 6,
    "elu": lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x)),
    "leaky_relu": lambda x, alpha: np.where(x > 0, x, alpha * x),
}


def small_graph(seed: int, integer: bool) -> Graph:
    """16x16x3 -> 10 logits through every operator: two branches, a gate, pools, tables."""
    net = Builder(f"small{seed}", seed, integer)
    image = net.input((1, 16, 16, 3))
    stem = net.conv(image, 8, act="relu6")
    s_a = float(net.rng.uniform(0.01, 0.02))
    p_a, p_b = int(net.rng.integers(110, 250)), int(net.rng.integers(110, 250))
    side = net.conv(stem, 12, stride=(2, 2), scale=s_a)
    deep = net.depthwise(stem, stride=(2, 2), act="relu")
    deep = net.conv(deep, 12, kernel=1, pads=(0, 0, 0, 0), scale=s_a * 255 / p_a * p_b / 255)
    joined = net.add(side, deep, 255, p_a, act="relu")
    pooled = net.max_pool(joined)
    odd = net.max_pool(joined, (3, 3), (2, 2), (1, 1, 1, 1))
    more = net.conv(pooled, 4, act="relu", scale=net._scale(joined))
    merged = net.concat(pooled, more, odd)
    gate = net.average(merged)
    gate = net.conv(gate, 28, kernel=1, pads=(0, 0, 0, 0), scale=0.04)
    gate = net.table(gate, "sigmoid", 1 / 255, -128)
    gated = net.mul(merged, gate, 255, 1)
    curved = net.table(gated, "gelu", 0.01, -110)
    flat = net.reshape(net.average(curved))
    logits = net.dense(flat, 10, scale=0.05)
    return net.graph(logits, labels=tuple(f"class {i}" for i in range(10)))


def small_integer_graph(seed: int) -> Graph:
    """An int8 graph with every operator."""
    return small_graph(seed, integer=True)


def small_float_graph(seed: int) -> Graph:
    """The same shape of graph in float32."""
    return small_graph(seed, integer=False)


def integer_cases(seed: int) -> dict[str, Graph]:
    """One small int8 graph per operator and per way of padding."""
    cases: dict[str, Graph] = {}

    def case(
        name: str, shape: tuple[int, ...], body: Callable[[Builder, str], object], zero_point: int = 7
    ) -> None:
        net = Builder(name, seed)
        body(net, net.input(shape, 0.02, zero_point))
        cases[name] = net.graph()

    case("conv_same", (1, 8, 8, 5), lambda n, x: n.conv(x, 7))
    case("conv_stride2_even", (1, 8, 8, 5), lambda n, x: n.conv(x, 7, stride=(2, 2)))
    case("conv_stride2_odd", (1, 9, 9, 5), lambda n, x: n.conv(x, 7, stride=(2, 2)))
    case("conv_valid_relu", (1, 8, 8, 5), lambda n, x: n.conv(x, 7, pads=(0, 0, 0, 0), act="relu"))
    case(
        "conv_5x5_lopsided", (1, 8, 8, 3), lambda n, x: n.conv(x, 4, kernel=5, pads=(1, 3, 0, 2), act="relu6")
    )
    case(  # as large as its input, and yet not made of it
        "conv_1x1_stride2_padded", (1, 3, 3, 8), lambda n, x: n.conv(x, 8, 1, (2, 2), (1, 1, 1, 1))
    )
    case("depthwise_same", (1, 8, 8, 6), lambda n, x: n.depthwise(x))
    case("depthwise_stride2_even", (1, 8, 8, 6), lambda n, x: n.depthwise(x, stride=(2, 2), act="relu6"))
    case("average_8x8", (1, 8, 8, 6), lambda n, x: n.average(x))
    case("dense", (1, 24), lambda n, x: n.dense(x, 9))
    case("max_pool", (1, 8, 8, 5), lambda n, x: n.max_pool(x))
    case("max_pool_padded", (1, 8, 8, 5), lambda n, x: n.max_pool(x, (3, 3), (2, 2), (1, 1, 1, 1)))
    case("reshape", (1, 4, 4, 3), lambda n, x: n.reshape(x))
    case("table_gelu", (1, 4, 4, 8), lambda n, x: n.table(x, "gelu", 0.01, -90))
    case("table_tanh", (1, 33), lambda n, x: n.table(x, "tanh", 1 / 127, 0))

    def add(n: Builder, x: str) -> None:
        p_a, p_b = 131, 203
        a = n.conv(x, 6, scale=0.015)
        b = n.depthwise(n.conv(x, 6), scale=0.015 * 255 / p_a * p_b / 255)
        n.add(a, b, 255, p_a)

    def mul(n: Builder, x: str) -> None:
        gate = n.table(n.conv(n.average(x), 6, 1, pads=(0, 0, 0, 0), scale=0.04), "sigmoid", 1 / 255, -128)
        n.mul(x, gate, 255, 1, zero_point=7)

    def concat(n: Builder, x: str) -> None:
        n.concat(x, n.conv(x, 4, scale=0.02, zero_point=7))

    case("add_odd", (1, 8, 8, 6), add)
    case("mul_gate", (1, 8, 8, 6), mul)
    case("concat", (1, 8, 8, 6), concat)
    return cases


def random_input(graph: Graph, batch: int, seed: int = 0) -> NDArray[Any]:
    """Uniform int8, or standard normal float32, of the graph's first input."""
    rng = np.random.default_rng(seed)
    shape = (batch, *graph.tensors[graph.inputs[0]].shape[1:])
    if graph.is_integer:
        return rng.integers(-128, 128, shape).astype(np.int8)
    return rng.normal(size=shape).astype(np.float32)
