"""The shadow of an integer graph answers as the interpreter does, and its gradients reach the input."""

import numpy as np
import torch

from edgedistill.ir.interpret import run
from edgedistill.lower.passes import simplify
from edgedistill.lower.trace import trace
from edgedistill.quant.execute import Shadow
from edgedistill.quant.integer import to_integer
from edgedistill.quant.ranges import choose, observe, separate_fixed_operands
from edgedistill.students import STUDENTS
from tests.lower.test_trace import randomised


def test_shadow() -> None:
    torch.manual_seed(0)
    graph = separate_fixed_operands(simplify(trace(randomised(STUDENTS["resnet"].make(10, 3)), (16, 16, 3))))
    pixels = np.random.default_rng(0).integers(-128, 128, (20, 16, 16, 3)).astype(np.int8)
    real = pixels.astype(np.float32) / 64
    integer = to_integer(graph, choose(graph, observe(graph, real, 99.9)))
    x = torch.from_numpy(real).permute(0, 3, 1, 2).requires_grad_(True)
    got = Shadow(integer)(x)
    expected = run(integer, {"input": pixels})[integer.outputs[0]]
    quant = integer.tensors[integer.outputs[0]].quant
    assert quant is not None
    np.testing.assert_array_equal(
        got.detach().numpy(), (expected.astype(np.float32) - quant.zero_point) * quant.scale[0]
    )
    got.sum().backward()
    assert x.grad is not None and float((x.grad != 0).float().mean()) > 0.5
