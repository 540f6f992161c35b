"""BatchNorm with the statistics of all processes' parts of a batch, on any device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class SharedStatistics(TorchFunctionMode):
    """Every training BatchNorm inside, of whatever module, sees the whole batch.

    Args:
        total: a tensor summed over all processes, differentiable.
    """

    def __init__(self, total: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._total = total

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func is F.batch_norm and given.get("training"):
            return batch_norm(self._total, *args, **given)
        return func(*args, **given)


def batch_norm(
    total: Callable[[Tensor], Tensor],
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``F.batch_norm`` with the mean and variance of all processes' parts (Ioffe & Szegedy 2015).

    x [N,C,...], other tensors [C]. torch's SyncBatchNorm is for GPUs alone.
    """
    over = [axis for axis in range(x.ndim) if axis != 1]
    shape = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
    values = x.float()
    count = values.new_tensor([x.numel() // x.shape[1]])
    sums: Tensor = total(torch.cat([values.sum(over), count]))
    count, mean = sums[-1].detach(), sums[:-1] / sums[-1].detach()
    centred = values - mean.view(shape)
    squares: Tensor = total(centred.square().sum(over))
    variance = squares / count
    with torch.no_grad():
        if running_mean is not None:
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        if running_var is not None:
            unbiased = variance * count / (count - 1).clamp_min(1)
            running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    scale = (variance + eps).rsqrt()
    if weight is not None:
        scale = scale * weight
    y = centred * scale.view(shape)
    if bias is not None:
        y = y + bias.view(shape)
    return y.to(x.dtype)
