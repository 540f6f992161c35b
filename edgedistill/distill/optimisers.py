"""Optimisers by name: SGD with Nesterov momentum, AdamW, and Muon for the weight matrices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

_HEAD_DECAY = 3e-4
_OTHERS = 1.7  # the rate of what Muon does not move, by its own


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised: each weight matrix moves by the nearest semi-orthogonal matrix.

    Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks".
    Groups with ``orthogonal`` take convolution weights [O, I/groups, H, W], flattened to
    [O, I*H*W/groups], with decoupled weight decay; the others are SGD with Nesterov momentum 0.9.
    ``scale`` multiplies the learning rate of a group.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, momentum: float = 0.95) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": 0.0, "orthogonal": False, "scale": 1.0}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            update = _orthogonal_step if group["orthogonal"] else _nesterov_step
            for parameter in group["params"]:
                if parameter.grad is not None:
                    state = self.state[parameter]
                    if not state:
                        state["momentum"] = torch.zeros_like(parameter)
                    update(parameter, state["momentum"], group)
        return loss


def _orthogonal_step(parameter: Tensor, momentum: Tensor, group: Mapping[str, Any]) -> None:
    assert parameter.grad is not None
    momentum.lerp_(parameter.grad, 1 - group["momentum"])
    direction = parameter.grad.lerp(momentum, group["momentum"]).reshape(len(parameter), -1)
    step = orthogonalise(direction).reshape(parameter.shape)
    rate = group["lr"] * group["scale"]
    rows, columns = direction.shape
    parameter.mul_(1 - rate * group["weight_decay"]).add_(step, alpha=-rate * max(1.0, rows / columns) ** 0.5)


def _nesterov_step(parameter: Tensor, momentum: Tensor, group: Mapping[str, Any]) -> None:
    assert parameter.grad is not None
    gradient = parameter.grad.add(parameter, alpha=group["weight_decay"])
    momentum.mul_(0.9).add_(gradient)
    parameter.add_(gradient.add(momentum, alpha=0.9), alpha=-group["lr"] * group["scale"])


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """[R, C] -> a matrix of the same row and column space whose singular values are near 1 (0.7 to 1.2).

    Newton-Schulz iteration with the quintic of Jordan et al. 2024.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x: Tensor = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


def _sgd(net: nn.Module, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(_decayed(net, weight_decay), lr=lr, momentum=0.9, nesterov=True)


def _adamw(net: nn.Module, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(_decayed(net, weight_decay), lr=lr)


def _muon(net: nn.Module, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """Convolutions by Muon; linear layers (their own decay), biases and normalisations by SGD, faster."""
    learned = [p for p in net.parameters() if p.requires_grad]
    return Muon(
        [
            {"params": [p for p in learned if p.ndim > 2], "orthogonal": True, "weight_decay": weight_decay},
            {"params": [p for p in learned if p.ndim == 2], "scale": _OTHERS, "weight_decay": _HEAD_DECAY},
            {"params": [p for p in learned if p.ndim < 2], "scale": _OTHERS},
        ],
        lr,
    )


def _decayed(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay on weight tensors only, not on biases and normalisations."""
    learned = [p for p in net.parameters() if p.requires_grad]
    return [
        {"params": [p for p in learned if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
    ]


Make = Callable[[nn.Module, float, float], torch.optim.Optimizer]  # of the net, lr and weight decay

OPTIMISERS: Mapping[str, Make] = {
    "sgd": _sgd,  # Nesterov momentum 0.9
    "adamw": _adamw,  # Loshchilov & Hutter 2019
    "muon": _muon,  # Jordan et al. 2024
}
