"""Proxies give what their papers' formulas give by hand, for every family, and leave the student as it is."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgedistill import students
from edgedistill.sizing import proxy

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (8, 12, 12, 3), dtype=np.uint8)
LABELS = RNG.integers(0, 5, 8)
FAMILIES = ("resnet:width=4", "mobilenet:width=4", "dscnn:width=8,frames=3,bands=3,step=2")


def linear(*layers: list[list[float]]) -> nn.Module:
    """Linear layers of these weights, one after the other."""
    made = [nn.Linear(len(rows[0]), len(rows), bias=False) for rows in layers]
    for layer, rows in zip(made, layers, strict=True):
        layer.weight = nn.Parameter(torch.tensor(rows))
    return nn.Sequential(*made)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", proxy.PROXIES)
def test_scores_are_finite_repeatable_and_change_nothing(name: str, family: str) -> None:
    torch.manual_seed(0)
    net = students.parse(family).build(5, 3)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    drawn = torch.random.get_rng_state()
    found = proxy.score(name, net, IMAGES, LABELS)
    assert math.isfinite(found) and found == proxy.score(name, net, IMAGES, LABELS)
    assert torch.equal(torch.random.get_rng_state(), drawn) and net.training
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert all(value.grad is None for value in net.parameters())


@pytest.mark.parametrize("name", ["synflow", "zen", "zico", "naswot"])
def test_a_wider_and_deeper_net_scores_higher(name: str) -> None:
    torch.manual_seed(0)
    small, large = (students.parse(f"resnet:width={w},depth={d}").build(5, 3) for w, d in ((4, 8), (16, 14)))
    assert proxy.score(name, large, IMAGES, LABELS) > proxy.score(name, small, IMAGES, LABELS)


def test_counts() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, groups=1), nn.Flatten(), nn.Linear(4 * 12 * 12, 5))
    assert math.exp(proxy.score("log-parameters", net, IMAGES, LABELS)) == pytest.approx(
        4 * 27 + 4 + 5 * 576 + 5
    )
    assert math.exp(proxy.score("log-macs", net, IMAGES, LABELS)) == pytest.approx(144 * 4 * 27 + 5 * 576)


def test_synflow_of_two_linear_layers_is_twice_the_summed_paths() -> None:
    first, second = [[1.0, -2.0], [3.0, 0.5]], [[-1.0, 4.0]]
    flow = float((torch.tensor(second).abs() @ torch.tensor(first).abs()).sum())  # of each layer, R
    found = proxy.synflow(linear(first, second), torch.randn(3, 2), torch.zeros(3))
    assert found == pytest.approx(math.log(2 * flow))


def test_gradient_scores_of_one_linear_layer() -> None:
    weights = [[0.5, -1.0], [0.25, 2.0]]
    x, labels = torch.tensor([[1.0, 2.0], [-1.0, 0.5], [0.0, 3.0], [2.0, 1.0]]), torch.tensor([0, 1, 1, 0])
    answers = torch.softmax(x @ torch.tensor(weights).T, 1) - F.one_hot(labels, 2)  # dL/dlogits
    gradient = answers.T @ x / 4
    length = math.log(float(gradient.norm()))
    assert proxy.gradient_norm(linear(weights), x, labels) == pytest.approx(length, rel=1e-5)
    saliency = math.log(float((gradient * torch.tensor(weights)).abs().sum()))
    assert proxy.snip(linear(weights), x, labels) == pytest.approx(saliency, rel=1e-5)
    parts = (answers[:, :, None] * x[:, None, :]).abs()  # the parts of a batch of four hold one image each
    ratio = math.log(float((parts.mean(0) / parts.std(0)).sum()))
    assert proxy.zico(linear(weights), x, labels) == pytest.approx(ratio, rel=1e-5)


@pytest.mark.parametrize("act", [nn.ReLU(), nn.ReLU6()])
def test_naswot_counts_units_on_which_two_images_agree(act: nn.Module) -> None:
    net = nn.Sequential(nn.Flatten(), act)
    x = torch.tensor([[1.0, -1.0, 2.0], [-1.0, 1.0, 2.0]])  # of three units the images agree on one
    assert proxy.naswot(net, x, torch.zeros(2)) == pytest.approx(math.log(3 * 3 - 1 * 1))


def test_naswot_watches_rectifiers_that_are_functions() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.relu(x)

    x = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    assert proxy.naswot(Net(), x, torch.zeros(2)) == pytest.approx(math.log(4))


def test_images_that_a_net_tells_apart_less_score_lower() -> None:
    class Same(nn.Module):
        """Gradients of all images are one vector."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1) @ torch.arange(1.0, 433.0)[:, None]

    torch.manual_seed(0)
    net = students.parse("resnet:width=4").build(5, 3)
    assert proxy.score("jacob-cov", Same(), IMAGES, LABELS) < proxy.score("jacob-cov", net, IMAGES, LABELS)


def test_zen_reads_no_image() -> None:
    net = students.parse("resnet:width=4").build(5, 3)
    other = RNG.integers(0, 256, IMAGES.shape, dtype=np.uint8)
    assert proxy.score("zen", net, IMAGES, LABELS) == proxy.score("zen", net, other, LABELS)


def test_a_net_without_a_score_comes_last() -> None:
    blank = np.zeros_like(IMAGES)  # all codes are equal: det K = 0
    net = students.parse("resnet:width=4").build(5, 3)
    assert proxy.score("naswot", net, blank, LABELS) < proxy.score("naswot", net, IMAGES, LABELS)
    assert proxy.score("jacob-cov", nn.Flatten(), IMAGES, LABELS) == -math.inf


def test_images_without_labels_do_not_count() -> None:
    net = students.parse("resnet:width=4").build(5, 3)
    some = np.where(np.arange(8) < 4, LABELS, -1)
    assert math.isfinite(proxy.score("grad-norm", net, IMAGES, some))
