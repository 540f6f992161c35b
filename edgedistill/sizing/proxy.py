"""Zero-cost proxies: what an untrained student's answers and gradients on one batch say of its accuracy.

Shapes: N images, C channels, H x W pixels; x is a student's input float32 [N,C,H,W].
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from edgedistill.distill.evaluate import to_input

Score = Callable[[nn.Module, Tensor, Tensor], float]  # net, x, labels int64 [N]; the net may be spoilt

IMAGES = 64  # a batch for ``score``: what Mellor et al. 2021 and Abdelfattah et al. 2021 use
_RECTIFIERS = (F.relu, F.relu6, F.hardtanh, torch.relu, Tensor.relu)  # nn.ReLU6 is a hardtanh
_TINY = 1e-12


@dataclass(frozen=True)
class Proxy:
    """A row: higher scores are to mean higher accuracy."""

    score: Score
    summary: str
    source: str


def score(name: str, net: nn.Module, images_NHWC: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    """The proxy's score of an untrained student, which stays as it is; -inf where it has none.

    Args:
        name: a row of ``PROXIES``.
        images_NHWC: uint8 [N,H,W,C], a batch of real images (``IMAGES`` of them are enough).
        labels: int64 [N].
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found = PROXIES[name].score(copy.deepcopy(net), to_input(images_NHWC), torch.from_numpy(labels))
    return found if math.isfinite(found) else -math.inf


def log_parameters(net: nn.Module, x: Tensor, labels: Tensor) -> float:
    """ln of the number of parameters."""
    return math.log(sum(p.numel() for p in net.parameters()))


@torch.no_grad()
def log_macs(net: nn.Module, x: Tensor, labels: Tensor) -> float:
    """ln of the multiplications of convolutions and linear layers on one image."""
    total = 0

    def count(layer: nn.Module, _: object, y: Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        total += y[0].numel() * layer.weight[0].numel()

    for layer in _layers(net):
        layer.register_forward_hook(count)
    net.eval()(x[:1])
    return math.log(max(total, 1))


def synflow(net: nn.Module, x: Tensor, labels: Tensor) -> float:
    """ln of the sum of |weight * dR/dweight|, R the summed answer to ones of the net with |weights|.

    In double precision and with BatchNorm's first statistics, as Abdelfattah et al. 2021 do it.
    """
    net.double().eval()
    with torch.no_grad():
        for value in net.parameters():
            value.abs_()
    net(torch.ones_like(x[:1], dtype=torch.float64)).sum().backward()
    return math.log(max(sum(float((p * g).abs().sum().detach()) for p, g in _gradients(net)), _TINY))


def gradient_norm(net: nn.Module, x: Tensor, labels: Tensor) -> float:
    """ln of the Euclidean norm of the cross-entropy's gradient."""
    _backward(net, x, labels)
    return math.log(max(math.sqrt(sum(float((g * g).sum()) for _, g in _gradients(net))), _TINY))


def snip(net: nn.Module, x: Tensor, labels: Tensor) -> float:
    """ln of the sum of |weight * gradient of the cross-entropy|: what its removal would change at once."""
    _backward(net, x, labels)
    return math.log(max(sum(float((p * g).abs().sum().detach()) for p, g in _gradients(net)), _TINY))


def jacobian_covariance(net: nn.Module, x: Tensor, labels: Tensor) -> float:
    """How little the images' input gradients resemble each other: -sum(ln(v + k) + 1 / (v + k)).

    v are eigenvalues of the correlation matrix [N,N] of d(sum of answers)/dx, k = 1e-5 as in their code.
    """
    x = x.clone().requires_grad_()
    net.train()(x).sum().backward()
    assert x.grad is not None
    gradients = x.grad.reshape(len(x), -1).double().numpy()
    if (gradients.std(1) == 0).any():
        return -math.inf
    correlations = np.corrcoef(gradients)
    eigenvalues = np.clip(np.linalg.eigvalsh(correlations), 0, None) + 1e-5
    return -float((np.log(eigenvalues) + 1 / eigenvalues).sum())


@torch.no_grad()
def naswot(net: nn.Module, x: Tensor, labels: Tensor) -> float:
    """ln |det K|, K [N,N] the number of rectified units that two images agree on (section 3, equation 2)."""
    kernel = torch.zeros(len(x), len(x), dtype=torch.float64)

    class Watching(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
        ) -> Any:
            if function in _RECTIFIERS:
                active = (args[0] > 0).reshape(len(x), -1).float()  # [N, units]
                off = 1 - active
                kernel.add_((active @ active.T + off @ off.T).double())
            return function(*args, **(kwargs or {}))

    with Watching():
        net.train()(x)
    return float(torch.linalg.slogdet(kernel).logabsdet)


@torch.no_grad()
def zen(net: nn.Module, x: Tensor, labels: Tensor) -> float:
    """ln |f(x) - f(x + 0.01 e)| + sum of ln(deviation before each BatchNorm), weights, x and e Gaussian.

    f is what goes into the global average. Equation 6 and algorithm 1; needs no data but their shape.
    """
    for layer in _layers(net):
        nn.init.normal_(layer.weight)
    deviations, features = [], []
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(
                lambda _, given: deviations.append(float(given[0].var((0, 2, 3)).mean().sqrt()))
            )
        elif isinstance(module, nn.AdaptiveAvgPool2d):
            module.register_forward_pre_hook(lambda _, given: features.append(given[0]))
    noise = torch.randn_like(x)
    answer = net.train()(noise)
    count = len(deviations)
    changed = net(noise + 0.01 * torch.randn_like(x))
    first, second = features[-2:] if features else (answer, changed)
    distance = float((first - second).abs().reshape(len(x), -1).sum(1).mean())
    return math.log(max(distance, _TINY)) + sum(math.log(max(d, _TINY)) for d in deviations[:count])


def zico(net: nn.Module, x: Tensor, labels: Tensor) -> float:
    """Sum over layers of ln(sum of mean |gradient| / its deviation) over parts of the batch (equation 15)."""
    parts = 4
    seen: dict[str, list[Tensor]] = {}
    named = {id(layer.weight): name for name, layer in net.named_modules() if layer in set(_layers(net))}
    for images, answers in zip(x.chunk(parts), labels.chunk(parts), strict=True):
        net.zero_grad()
        _backward(net, images, answers)
        for value, gradient in _gradients(net):
            if id(value) in named:
                seen.setdefault(named[id(value)], []).append(gradient.abs().clone())
    total = 0.0
    for gradients in seen.values():
        all_parts = torch.stack(gradients)
        mean, deviation = all_parts.mean(0), all_parts.std(0)
        known = deviation > 0
        ratio = float((mean[known] / deviation[known]).sum())
        total += math.log(ratio) if ratio > 0 else 0.0
    return total


def _backward(net: nn.Module, x: Tensor, labels: Tensor) -> None:
    """One batch's cross-entropy; images without a label don't count."""
    F.cross_entropy(net.train()(x), labels, ignore_index=-1).backward()  # type: ignore[no-untyped-call]


def _gradients(net: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    for value in net.parameters():
        if value.grad is not None:
            yield value, value.grad


def _layers(net: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


PROXIES: Mapping[str, Proxy] = {
    "log-parameters": Proxy(log_parameters, "ln of the parameters", "a baseline: size alone"),
    "log-macs": Proxy(log_macs, "ln of the multiplications", "a baseline: work alone"),
    "synflow": Proxy(synflow, "synaptic flow through |weights|", "Tanaka et al. 2020, section 5"),
    "grad-norm": Proxy(gradient_norm, "length of the gradient", "Abdelfattah et al. 2021, section 3.1"),
    "snip": Proxy(snip, "|weight * gradient|", "Lee et al. 2019; Abdelfattah et al. 2021, section 3.2"),
    "jacob-cov": Proxy(
        jacobian_covariance, "how unlike input gradients are", "Mellor et al. 2020, arXiv 2006.04647v1"
    ),
    "naswot": Proxy(naswot, "how unlike the rectified units' codes are", "Mellor et al. 2021, section 3"),
    "zen": Proxy(zen, "how strongly features answer to noise", "Lin et al. 2021, section 3, algorithm 1"),
    "zico": Proxy(zico, "gradients' mean over deviation", "Li et al. 2023, equation 15"),
}
