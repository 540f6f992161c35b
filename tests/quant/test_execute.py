"""What is trained is what is deployed: the torch arithmetic equals the interpreter in every value."""

import numpy as np
import pytest
import torch
from torch import nn

from edgedistill.ir.interpret import run
from edgedistill.ir.verify import inexact
from edgedistill.lower.passes import simplify
from edgedistill.lower.trace import trace
from edgedistill.quant.execute import GraphNet
from edgedistill.quant.integer import to_integer
from edgedistill.quant.ranges import choose, observe, separate_fixed_operands
from edgedistill.students import STUDENTS
from tests.lower.test_trace import Zoo, randomised


@pytest.mark.parametrize("name", ["resnet", "mobilenet", "zoo"])
@pytest.mark.parametrize("seed", [0, 1])
def test_torch_equals_the_interpreter(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    net = randomised(Zoo() if name == "zoo" else STUDENTS[name].make(10, 3, width=8))
    graph = separate_fixed_operands(simplify(trace(net, (16, 16, 3))))
    pixels = np.random.default_rng(seed).integers(-128, 128, (40, 16, 16, 3)).astype(np.int8)
    real = pixels.astype(np.float32) / 64
    qparams = choose(graph, observe(graph, real, 99.9))
    quantised = GraphNet(graph, qparams)
    integer = to_integer(quantised.trained(), qparams)
    assert inexact(integer) == ()
    with torch.no_grad():
        got = quantised(torch.from_numpy(real).permute(0, 3, 1, 2)).numpy()
    expected = run(integer, {"input": pixels})[integer.outputs[0]]
    quant = integer.tensors[integer.outputs[0]].quant
    assert quant is not None
    np.testing.assert_array_equal(got, (expected.astype(np.float32) - quant.zero_point) * quant.scale[0])
    assert len(np.unique(expected)) > 5


def test_a_channel_without_weights_keeps_its_bias() -> None:
    """Its weights' scale would be too fine for an int32 bias; torch and the interpreter still agree."""
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 1)
    with torch.no_grad():
        first.weight[1].zero_()
        first.bias.fill_(0.5)
    net = nn.Sequential(first, nn.ReLU(), second, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    graph = separate_fixed_operands(simplify(trace(net, (8, 8, 3))))
    pixels = np.random.default_rng(0).integers(-128, 128, (20, 8, 8, 3)).astype(np.int8)
    real = pixels.astype(np.float32) / 64
    qparams = choose(graph, observe(graph, real, 100))
    quantised = GraphNet(graph, qparams)
    integer = to_integer(quantised.trained(), qparams)
    assert inexact(integer) == ()
    x = torch.from_numpy(real).permute(0, 3, 1, 2)
    with torch.no_grad():
        got, plain = quantised(x).numpy(), net(x).numpy()
    expected = run(integer, {"input": pixels})[integer.outputs[0]]
    quant = integer.tensors[integer.outputs[0]].quant
    assert quant is not None
    np.testing.assert_array_equal(got, (expected.astype(np.float32) - quant.zero_point) * quant.scale[0])
    np.testing.assert_allclose(got, plain, atol=4 * float(quant.scale[0]))


def test_gradients_reach_every_learned_weight() -> None:
    net = randomised(STUDENTS["resnet"].make(10, 3, width=4))
    graph = separate_fixed_operands(simplify(trace(net, (16, 16, 3))))
    real = np.random.default_rng(0).normal(size=(8, 16, 16, 3)).astype(np.float32)
    quantised = GraphNet(graph, choose(graph, observe(graph, real, 100)))
    x = torch.from_numpy(real).permute(0, 3, 1, 2)
    plain = GraphNet(graph)
    for model in (quantised, plain):
        nn.functional.cross_entropy(model(x), torch.arange(8)).backward()
    for (key, a), (_, b) in zip(quantised.named_parameters(), plain.named_parameters(), strict=True):
        if a.requires_grad and key.endswith("/w"):
            assert a.grad is not None and b.grad is not None
            cosine = nn.functional.cosine_similarity(a.grad.flatten(), b.grad.flatten(), dim=0)
            assert cosine > 0.8, key


def test_both_operands_bound_get_a_copy() -> None:
    class Dense(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x + self.a(x)
            return ((x + y) + self.b(y)).mean((2, 3))

    graph = separate_fixed_operands(simplify(trace(Dense(), (4, 4, 3))))
    real = np.random.default_rng(0).normal(size=(4, 4, 4, 3)).astype(np.float32)
    integer = to_integer(graph, choose(graph, observe(graph, real, 100)))
    assert inexact(integer) == ()
    assert sum(op.kind == "DEPTHWISE_CONV_2D" for op in integer.ops) == 2  # the copy and the mean
