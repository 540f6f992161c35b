"""Small networks, some of whose layers are int16, that tests of arithmetic, printers and runtimes share."""

from __future__ import annotations

import numpy as np

from edgedistill.ir.graph import Graph
from edgedistill.quant import int16, ranges
from edgedistill.quant.integer import to_integer
from tests.graphs import Builder


def floating(seed: int) -> Graph:
    """Convolutions of all kinds, additions in a chain, a maximum, an average, a dense layer; float32."""
    net = Builder(f"mixed{seed}", seed, integer=False)
    rng = np.random.default_rng(seed)
    channels = int(rng.integers(3, 12))
    x = net.conv(net.input((1, 12, 12, 3)), channels, act="relu6" if seed % 3 == 0 else "relu")
    for _ in range(int(rng.integers(1, 4))):
        y = net.conv(x, 2 * channels, 1, pads=(0, 0, 0, 0), act="relu6")
        y = net.depthwise(y, act="relu")
        y = net.conv(y, channels, 1, pads=(0, 0, 0, 0))
        x = net.add(x, y, 1, 1, act="relu" if seed % 2 else "none")
    if seed % 4 == 0:
        x = net.max_pool(x)
    x = net.conv(x, 7, stride=(2, 2), act="relu6")
    x = net.depthwise(x, 5, pads=(1, 3, 2, 0), act="none")
    flat = net.reshape(net.average(x))
    net.dense(net.dense(flat, 12, act="relu"), 5)
    return ranges.separate_fixed_operands(net.graph())


def mixed(seed: int, share: float | None = None) -> Graph:
    """Its integer graph, each able layer int16 with probability ``share`` (None: by seed)."""
    graph = floating(seed)
    rng = np.random.default_rng((seed, 16))
    share = float(rng.uniform(0.1, 1)) if share is None else share
    able = [name for name, why in int16.candidates(graph).items() if why is None]
    layers = [name for name in able if rng.random() < share] or able[:1]
    images = rng.normal(0, 1.2, (4, *graph.tensors[graph.inputs[0]].shape[1:])).astype(np.float32)
    wide, qparams = int16.quantised(graph, ranges.observe(graph, images, 99.9), layers)
    return to_integer(wide, qparams)


def tail(seed: int = 0) -> Graph:
    """Three convolutions, the last two around an int16 tensor: both kinds of kernel in little code."""
    net = Builder("tail", seed, integer=False)
    x = net.conv(net.input((1, 6, 6, 3)), 5, act="relu")
    y = net.conv(x, 6, act="relu")
    graph = net.graph(net.conv(y, 4))
    images = np.random.default_rng(seed).normal(0, 1.2, (4, 6, 6, 3)).astype(np.float32)
    return to_integer(*int16.quantised(graph, ranges.observe(graph, images, 99.9), [y]))
