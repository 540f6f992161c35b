"""Losses on relations: closed forms, what they must not see, and their gradients."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistill.distill.losses import relation
from edgedistill.distill.losses.relation import (
    angle,
    contrastive,
    distance,
    probabilistic,
    similarity,
)

EVERY = [distance, angle, similarity, probabilistic]


def points(seed: int, count: int = 5, width: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator, dtype=torch.float64)


def rotation(seed: int, width: int = 4) -> torch.Tensor:
    """An orthogonal matrix."""
    return torch.linalg.qr(points(seed, width, width))[0]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.05, 20))
def test_rkd_sees_neither_rotation_nor_scale_nor_shift(seed: int, scale: float) -> None:
    student, teacher = points(seed), points(seed + 1, width=7)
    moved = scale * student @ rotation(seed) + 3
    for loss in (distance, angle):
        torch.testing.assert_close(loss(moved, teacher), loss(student, teacher), rtol=1e-6, atol=1e-9)
        assert float(loss(moved, student)) == pytest.approx(0, abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.05, 20))
def test_similarity_and_pkt_see_no_orthogonal_map_and_no_scale(seed: int, scale: float) -> None:
    student, teacher = points(seed), points(seed + 1, width=7)
    moved = scale * student @ rotation(seed)
    for loss in (similarity, probabilistic):
        torch.testing.assert_close(loss(moved, teacher), loss(student, teacher), rtol=1e-6, atol=1e-9)
        assert float(loss(moved, student)) == pytest.approx(0, abs=1e-9)


def test_rkd_distance_follows_its_definition() -> None:
    student, teacher = points(0), points(1, width=7)
    lists = []
    for x in (student, teacher):
        pairs = torch.stack([(x[i] - x[j]).norm() for i in range(5) for j in range(i + 1, 5)])
        lists.append(pairs / pairs.mean())
    torch.testing.assert_close(distance(student, teacher), F.smooth_l1_loss(*lists))


def test_rkd_angle_follows_its_definition() -> None:
    student, teacher = points(0, 4), points(1, 4, 7)
    cubes = []
    for x in (student, teacher):
        cube = torch.zeros(4, 4, 4, dtype=torch.float64)
        for j in range(4):
            for i in range(4):
                for k in range(4):
                    if j not in (i, k):
                        cube[j, i, k] = F.cosine_similarity(x[i] - x[j], x[k] - x[j], dim=0)
        cubes.append(cube)
    torch.testing.assert_close(angle(student, teacher), F.smooth_l1_loss(*cubes))


def test_similarity_follows_its_definition() -> None:
    student, teacher = points(0), points(1, width=7)
    grams = [x @ x.T for x in (student, teacher)]
    rows = [g / g.square().sum(1, keepdim=True).sqrt() for g in grams]
    assert float(similarity(student, teacher)) == pytest.approx(
        float((rows[0] - rows[1]).square().sum()) / 25
    )


def test_pkt_is_a_divergence() -> None:
    student, teacher = points(0), points(1, width=7)
    assert float(probabilistic(student, teacher)) > 0
    kernels = [(F.cosine_similarity(x[:, None], x[None], dim=2) + 1) / 2 for x in (student, teacher)]
    q, p = (k / k.sum(1, keepdim=True) for k in kernels)
    expected = F.kl_div(q.log(), p, reduction="sum") / 25
    torch.testing.assert_close(probabilistic(student, teacher), expected, rtol=1e-4, atol=1e-8)


def test_feature_maps_are_flattened() -> None:
    maps = points(0, 5, 12).view(5, 3, 2, 2)
    for loss in EVERY:
        torch.testing.assert_close(loss(maps, points(1)), loss(maps.flatten(1), points(1)))


@pytest.mark.parametrize("loss", EVERY)
def test_gradients_are_the_slopes(loss: object) -> None:
    student = points(2).requires_grad_()
    assert torch.autograd.gradcheck(loss, (student, points(3, width=7)), atol=1e-4)  # type: ignore[arg-type]


@pytest.mark.parametrize("loss", EVERY)
def test_equal_examples_give_a_finite_gradient(loss: object) -> None:
    """The slope of a root at 0 is infinite."""
    student = torch.ones(4, 3).requires_grad_()
    value = loss(student, torch.randn(4, 3, generator=torch.Generator().manual_seed(0)))  # type: ignore[operator]
    assert bool(torch.autograd.grad(value, student)[0].isfinite().all())


def test_contrastive_follows_its_definition() -> None:
    """Tian et al. 2020: the critic e / (e + K m), spelt out for one example and two negatives."""
    own = F.normalize(points(0, 1), dim=1)
    positive, negatives = F.normalize(points(1, 1), dim=1), F.normalize(points(2, 2), dim=1)[None]
    mean, tau = 1.7, 0.5

    def critic(other: torch.Tensor) -> float:
        e = math.exp(float(own[0] @ other) / tau)
        return e / (e + 2 * mean)

    expected = -math.log(critic(positive[0])) - sum(math.log(1 - critic(n)) for n in negatives[0])
    found = contrastive(own, positive, negatives, torch.tensor(math.log(mean)), tau)
    assert float(found) == pytest.approx(expected)


def test_contrastive_wants_the_positive_near_and_the_negatives_far() -> None:
    own = F.normalize(points(0, 3), dim=1)
    away = -own[:, None].repeat(1, 4, 1)
    log_mean = torch.tensor(0.0)
    good, bad = contrastive(own, own, away, log_mean, 0.5), contrastive(own, -own, -away, log_mean, 0.5)
    assert float(good) < float(bad)


def test_gradient_of_contrastive_is_the_slope() -> None:
    own = points(0, 2).requires_grad_()
    others = (points(1, 2), points(2, 6).view(2, 3, 4), torch.tensor(0.3, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda x: contrastive(x, *others, 0.5), (own,))


def test_two_examples_alike_have_no_angle() -> None:
    """The direction between them would be rounding, divided by next to nothing."""
    torch.manual_seed(0)
    x = torch.randn(32, 512)
    x[7] = x[3]
    x.requires_grad_()
    loss = angle(x, torch.randn(32, 64))
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(relation._angles(x.detach()).abs().max()) <= 1.001
    assert x.grad is not None and float(x.grad.norm()) < 1
