"""Each loss against a value worked out by hand."""

import math

import pytest
import torch

from edgedistill.synthesis import priors

SURE = torch.tensor([[60.0, 0.0], [0.0, 60.0]])


def test_of_class_is_cross_entropy() -> None:
    logits = torch.tensor([[0.0, math.log(3.0)]])
    assert float(priors.of_class(logits, torch.tensor([1]))) == pytest.approx(math.log(4 / 3))


def test_roughness_of_a_ramp_is_its_slopes() -> None:
    y, x = torch.meshgrid(torch.arange(5.0), torch.arange(7.0), indexing="ij")
    assert float(priors.roughness((0.1 * y + 0.02 * x)[None, None])) == pytest.approx(0.12)
    assert float(priors.roughness(torch.full((2, 3, 4, 4), 0.7))) == 0


def test_agreement_is_one_for_the_same_and_one_minus_ln_2_for_the_opposite() -> None:
    assert float(priors.agreement(SURE, SURE)) == pytest.approx(1)
    assert float(priors.agreement(SURE, SURE.flip(1))) == pytest.approx(1 - math.log(2))


def test_agreement_is_symmetric() -> None:
    a, b = torch.randn(2, 8, 5, generator=torch.Generator().manual_seed(0))
    assert float(priors.agreement(a, b)) == pytest.approx(float(priors.agreement(b, a)))


def test_distance_counts_only_images_with_the_same_answer() -> None:
    teacher = torch.log(torch.tensor([[0.75, 0.25], [0.9, 0.1]]))
    rival = torch.log(torch.tensor([[0.5001, 0.4999], [0.2, 0.8]]))
    first = 0.75 * math.log(0.75 / 0.5001) + 0.25 * math.log(0.25 / 0.4999)
    assert float(priors.same_answer_distance(rival, teacher)) == pytest.approx(first / 2, rel=1e-5)


def test_distance_pushes_away_from_the_rival() -> None:
    image = torch.tensor([[0.2]], requires_grad=True)
    teacher, rival = torch.cat([image, -image], 1) * 3, torch.cat([image, -image], 1)
    priors.same_answer_distance(rival, teacher).backward()  # type: ignore[no-untyped-call]
    assert image.grad is not None and image.grad.item() > 0  # further from 0 the answers differ more


def test_contrast_is_cross_entropy_of_cosines() -> None:
    first = torch.eye(2, 3)
    bank = torch.tensor([[0.0, 0.0, 1.0]])
    expected = -math.log(
        math.exp(2) / (math.exp(2) + 1 + 1)
    )  # 1 / temperature = 2; the others are at right angles
    assert float(priors.contrast(first, first, bank, 0.5)) == pytest.approx(expected)
    assert float(priors.contrast(first, first.flip(0), bank, 0.5)) > expected
