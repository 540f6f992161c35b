"""Scales obey the rules wherever additions, gates, moves and ReLU6 meet."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgedistill.ir.verify import inexact
from edgedistill.lower.passes import simplify
from edgedistill.lower.trace import trace
from edgedistill.quant.integer import to_integer, weight_scale
from edgedistill.quant.ranges import choose, observe, separate_fixed_operands


class Crossing(nn.Module):
    """A sum that ends in ReLU6, sums that share operands, a concatenation of a ReLU and a signed tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(3, 3, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self.a(x) + self.b(x))
        z = y + self.c(x)
        both = torch.cat([F.relu(self.c(y)), z, F.max_pool2d(z, 1)], 1)
        return both.mean((2, 3))


def test_every_rule_holds_where_operators_meet() -> None:
    torch.manual_seed(0)
    graph = separate_fixed_operands(simplify(trace(Crossing(), (8, 8, 3))))
    real = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype(np.float32) * 5
    integer = to_integer(graph, choose(graph, observe(graph, real, 100)))  # to_integer checks every rule
    assert inexact(integer) == ()


class Saturated(nn.Module):
    """A sum whose operands end in ReLU6, one of them after a maximum."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(3, 3, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        y = self.c(x) + F.relu6(self.a(x))
        z: Tensor = y + F.max_pool2d(F.relu6(self.b(x)), 1)
        return z.mean((2, 3))


@pytest.mark.parametrize("largest", [1.0, 6.0, 7.0, 8.9, 40.0])
def test_a_relu6_that_is_added_ends_at_six(largest: float) -> None:
    torch.manual_seed(0)
    graph = separate_fixed_operands(simplify(trace(Saturated(), (8, 8, 3))))
    ends = {op.outputs[0]: (0.0 if op.attrs.kind != "ADD" else -largest, largest) for op in graph.ops}
    assert inexact(to_integer(graph, choose(graph, ends))) == ()  # to_integer checks every rule


def test_ranges_cut_outliers() -> None:
    graph = simplify(
        trace(nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()), (4, 4, 3))
    )
    real = np.zeros((8, 4, 4, 3), np.float32)
    real[:, 0, 0, 0] = 1000
    full, cut = (observe(graph, real, p)["input"] for p in (100.0, 90.0))
    assert full[1] == 1000 and cut[1] < 1000


def test_weight_scales_never_need_minus_128() -> None:
    w = np.array([[[[-1.0]], [[0.5]]]], np.float32)
    scale = weight_scale(w, 0)
    assert np.rint(w / scale).min() == -127


def test_dummy_ranges_lower_an_untrained_student() -> None:
    graph = separate_fixed_operands(simplify(trace(Crossing(), (8, 8, 3))))
    assert inexact(to_integer(graph, choose(graph, {}))) == ()
