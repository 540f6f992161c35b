"""A tiny network trained on digits, in float and in int8, for attackers to fool."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import nn

from edgedistill.bench.robust import OfPixels, as_pixels
from edgedistill.data.types import ImageData, Split
from edgedistill.ir.graph import Graph
from edgedistill.lower.passes import simplify
from edgedistill.lower.trace import trace
from edgedistill.quant.integer import to_integer
from edgedistill.quant.ranges import choose, observe, separate_fixed_operands


@dataclass(frozen=True, eq=False)
class Victim:
    """Both students, and data whose test images they have not seen."""

    float_graph: Graph
    integer: Graph
    data: ImageData


@cache
def victim(classes: int = 10) -> Victim:
    """Right on nine of ten digits below ``classes``."""
    from sklearn.datasets import load_digits

    found = load_digits()
    rows = np.flatnonzero(found.target < classes)
    images_NHWC = np.round(found.images[rows, :, :, None] * 255 / 16).astype(np.uint8)
    labels = found.target[rows].astype(np.int64)
    train, test = (Split(images_NHWC[part], labels[part]) for part in (slice(150, None), slice(150)))
    names = tuple(str(i) for i in range(classes))
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, classes),
    )
    pixels, truth = as_pixels(train.images_NHWC), torch.from_numpy(train.labels)
    optimiser = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(30):
        optimiser.zero_grad()
        nn.functional.cross_entropy(OfPixels(net)(pixels), truth).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    graph = separate_fixed_operands(simplify(trace(net.eval(), (8, 8, 1), names)))
    seen = (train.images_NHWC.astype(np.float32) - 128) / 64
    integer = to_integer(graph, choose(graph, observe(graph, seen, 99.9)))
    return Victim(graph, integer, ImageData("digits", train, test, test, names, "digits"))
