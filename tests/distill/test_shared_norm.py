"""With one process's sums, the shared BatchNorm is torch's own."""

import torch
import torch.nn.functional as F
from torch import Tensor

from edgedistill.distill.shared_norm import SharedStatistics, batch_norm


def test_alone_it_is_batch_norm_with_its_gradients_and_statistics() -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 3, 4, 4)
    weight, bias = torch.rand(3) + 0.5, torch.randn(3)
    found = []
    for function in (F.batch_norm, lambda *given, **more: batch_norm(lambda t: t, *given, **more)):
        own = x.clone().requires_grad_()
        mean, var = torch.zeros(3), torch.ones(3)
        y = function(own, mean, var, weight, bias, training=True, momentum=0.1, eps=1e-5)
        (y.sin() * torch.arange(y.numel()).view_as(y)).sum().backward()
        found.append((y.detach(), own.grad, mean, var))
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_only_batch_norms_that_train_are_taken_over() -> None:
    norm, seen = torch.nn.BatchNorm2d(2), []

    def total(values: Tensor) -> Tensor:
        seen.append(values.shape)
        return values

    with SharedStatistics(total):
        norm(torch.randn(3, 2, 2, 2))
        assert len(seen) == 2
        norm.eval()(torch.randn(3, 2, 2, 2))
    assert len(seen) == 2
