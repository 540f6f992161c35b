"""How far a batch is from the data that a teacher was trained on, as its BatchNorm layers remember them."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from edgedistill.errors import TeacherError


class _NormAndMoments(torch.autograd.Function):
    """``x * scale + shift`` and x's mean and variance per channel, with one pass of gradients for all three.

    Separate operators of torch 2.13 take four times as long on a CPU (benchmarks/LOG.md).
    x [N,C,H,W]; scale, shift, mean, variance [C].
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])  # [N*H*W, C]
        mean = rows.mean(0)
        variance = ((rows * rows).mean(0) - mean * mean).clamp_min(0)
        ctx.save_for_backward(x, scale, mean)
        return torch.addcmul(_as_channels(shift), x, _as_channels(scale)), mean, variance

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        x, scale, mean = ctx.saved_tensors
        of_norm, of_mean, of_variance = grads
        count = x.numel() // x.shape[1]
        slope = 2 * of_variance / count
        gradient = torch.addcmul(_as_channels(of_mean / count - slope * mean), x, _as_channels(slope))
        return gradient.addcmul_(of_norm, _as_channels(scale)), None, None


def _as_channels(values_C: Tensor) -> Tensor:
    return values_C.view(1, -1, 1, 1)


class MeasuredBatchNorm(nn.Module):
    """A BatchNorm2d in evaluation mode that remembers the moments of what went into it last."""

    scale: Tensor
    shift: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, layer: nn.BatchNorm2d) -> None:
        super().__init__()
        assert layer.running_mean is not None and layer.running_var is not None
        mean, variance = layer.running_mean.detach().clone(), layer.running_var.detach().clone()
        scale = torch.rsqrt(variance + layer.eps)
        if layer.affine:
            scale = scale * layer.weight.detach()
        shift = -mean * scale
        if layer.affine:
            shift = shift + layer.bias.detach()
        for name, value in (("scale", scale), ("shift", shift), ("mean", mean), ("variance", variance)):
            self.register_buffer(name, value)
        self.seen: tuple[Tensor, Tensor] | None = None  # mean and variance [C] of the last input

    def forward(self, x: Tensor) -> Tensor:
        out, mean, variance = _NormAndMoments.apply(x, self.scale, self.shift)  # type: ignore[no-untyped-call]
        self.seen = mean, variance
        return out  # type: ignore[no-any-return]


class Statistics:
    """All BatchNorm layers of a network; ``loss`` is DeepInversion's (Yin et al. 2020, equation 4).

    With ``momentum`` the moments of earlier batches count too, so that a batch may differ from the
    whole as long as the batches together do not (Fang et al. 2022, section 3.3): this keeps a
    generator diverse.
    """

    def __init__(self, layers: list[MeasuredBatchNorm], momentum: float = 0.0) -> None:
        self.layers = layers
        self.momentum = momentum
        self.earlier: list[tuple[Tensor, Tensor]] = []

    def loss(self) -> Tensor:
        """Sum over the layers of ``|mean - m|_2 + |variance - v|_2`` for the last forward pass."""
        terms = []
        used = (layer for layer in self.layers if layer.seen is not None)
        for layer, (mean, variance) in zip(used, self._blended(), strict=True):
            terms.append(torch.linalg.vector_norm(mean - layer.mean))
            terms.append(torch.linalg.vector_norm(variance - layer.variance))
        return torch.stack(terms).sum()

    def remember(self) -> None:
        """Counts the last forward pass among the earlier batches."""
        if self.momentum:
            self.earlier = [(mean.detach(), variance.detach()) for mean, variance in self._blended()]

    def _blended(self) -> list[tuple[Tensor, Tensor]]:
        seen = [layer.seen for layer in self.layers if layer.seen is not None]
        assert seen, "a forward pass comes first"
        if not self.earlier:
            return seen
        m = self.momentum
        return [
            (m * before[0] + (1 - m) * pair[0], m * before[1] + (1 - m) * pair[1])
            for before, pair in zip(self.earlier, seen, strict=True)
        ]


def measured(module: nn.Module, name: str, momentum: float = 0.0) -> tuple[nn.Module, Statistics]:
    """A copy of a network whose BatchNorm2d layers measure their inputs.

    Raises:
        TeacherError: it has none with stored statistics.
    """
    twin = copy.deepcopy(module).eval().requires_grad_(False)
    layers: list[MeasuredBatchNorm] = []
    if isinstance(twin, nn.BatchNorm2d) and twin.running_mean is not None:
        layers.append(MeasuredBatchNorm(twin))
        return layers[0], Statistics(layers, momentum)
    for parent in list(twin.modules()):
        for child_name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d) and child.running_mean is not None:
                layers.append(MeasuredBatchNorm(child))
                setattr(parent, child_name, layers[-1])
    if not layers:
        raise TeacherError(
            "the teacher has no BatchNorm2d layer with stored statistics, from which images are synthesised",
            where=f"teacher {name}",
            fix="use a teacher with batch normalisation (most ResNets and MobileNets), or give real images",
        )
    return twin, Statistics(layers, momentum)
