"""Losses on answers against their closed forms, their decompositions and known gradients."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistill.distill.losses import hard_labels, hinton, soft_targets
from edgedistill.distill.losses.response import (
    decoupled,
    decoupled_parts,
    multi_label,
    regression,
    soft_cross_entropy,
    standardised,
)


def logits(seed: int, count: int = 5, classes: int = 7) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Student's, teacher's, labels."""
    generator = torch.Generator().manual_seed(seed)
    pair = (torch.randn(count, classes, generator=generator, dtype=torch.float64) * 3 for _ in range(2))
    return *pair, torch.randint(classes, (count,), generator=generator)  # type: ignore[return-value]


def gradient(loss: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(loss, of)[0]


@settings(deadline=None, max_examples=40)
@given(st.floats(0.5, 20), st.integers(0, 10_000))
def test_soft_targets_equal_the_definition(temperature: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (torch.randn(5, 7, generator=generator, dtype=torch.float64) * 3 for _ in range(2))
    p, q = F.softmax(teacher / temperature, 1), F.softmax(student / temperature, 1)
    expected = temperature**2 * (p * (p / q).log()).sum(1).mean()
    assert math.isclose(
        float(soft_targets(student, teacher, temperature)), float(expected), rel_tol=1e-9, abs_tol=1e-12
    )


def test_soft_targets_vanish_for_equal_logits_up_to_a_shift() -> None:
    logits = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert float(soft_targets(logits + 3, logits, 4.0)) == pytest.approx(0, abs=1e-12)


def test_gradient_at_high_temperature_matches_logits() -> None:
    """Hinton et al. 2015, equation 4: for large T the gradient is (z - v) / N of zero-meant logits."""
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(1, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(1, 8, generator=generator, dtype=torch.float64)
    soft_targets(student, teacher, 1e6).backward()  # type: ignore[no-untyped-call]
    z, v = student.detach() - student.detach().mean(), teacher - teacher.mean()
    assert student.grad is not None
    torch.testing.assert_close(student.grad, (z - v) / 8, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_hinton_mixes(alpha: float) -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(4, 3, generator=generator), torch.randn(4, 3, generator=generator)
    labels = torch.tensor([0, 1, 2, 0])
    expected = alpha * soft_targets(student, teacher, 2.0) + (1 - alpha) * hard_labels(student, labels)
    torch.testing.assert_close(hinton(student, teacher, labels, 2.0, alpha), expected)


@settings(deadline=None, max_examples=40)
@given(st.floats(0.5, 20), st.integers(0, 10_000))
def test_decoupled_parts_add_up_to_soft_targets(temperature: float, seed: int) -> None:
    """Zhao et al. 2022, section 3.1: KD = TCKD + (1 - p_target) NCKD, example by example."""
    student, teacher, labels = logits(seed)
    target, others = decoupled_parts(student, teacher, labels, temperature)
    p_target = F.softmax(teacher / temperature, 1).gather(1, labels[:, None]).squeeze(1)
    whole = target + (1 - p_target) * others
    torch.testing.assert_close(
        whole.mean(), soft_targets(student, teacher, temperature), rtol=1e-8, atol=1e-10
    )


def test_decoupled_follows_its_definition_and_its_weights() -> None:
    """As the paper's own code has it: the target masked out, the other probabilities renormalised."""
    student, teacher, labels = logits(1)
    chosen = F.one_hot(labels, 7).double()
    p, q = (F.softmax(z / 4, 1) for z in (teacher, student))
    b, c = (torch.stack(((m * chosen).sum(1), (m * (1 - chosen)).sum(1)), 1) for m in (p, q))
    target = (b * (b / c).log()).sum(1) * 16
    p, q = (F.softmax(z / 4 - 1000 * chosen, 1).clamp_min(1e-300) for z in (teacher, student))
    others = (p * (p / q).log()).sum(1) * 16
    expected = (0.5 * target + 3 * others).mean()
    torch.testing.assert_close(decoupled(student, teacher, labels, 4.0, 0.5, 3.0), expected)


def test_decoupled_of_two_classes_has_no_others() -> None:
    student, teacher, labels = logits(2, classes=2)
    _, others = decoupled_parts(student, teacher, labels, 3.0)
    assert float(others.abs().max()) < 1e-12


@settings(deadline=None, max_examples=40)
@given(st.floats(0.1, 50), st.floats(-20, 20), st.integers(0, 10_000))
def test_standardised_sees_only_the_shape_of_logits(scale: float, shift: float, seed: int) -> None:
    student, teacher, _ = logits(seed)
    expected = standardised(student, teacher, 2.0)
    torch.testing.assert_close(
        standardised(scale * student + shift, teacher, 2.0), expected, rtol=1e-4, atol=1e-7
    )
    torch.testing.assert_close(
        standardised(student, scale * teacher + shift, 2.0), expected, rtol=1e-4, atol=1e-7
    )
    assert float(standardised(scale * teacher + shift, teacher, 2.0)) == pytest.approx(0, abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.floats(0.5, 10), st.integers(0, 10_000))
def test_soft_cross_entropy_is_soft_targets_plus_the_teachers_entropy(temperature: float, seed: int) -> None:
    student, teacher, _ = logits(seed)
    student.requires_grad_()
    p = F.softmax(teacher / temperature, 1)
    entropy = -(p * p.log()).sum(1).mean() * temperature**2
    one, other = (
        soft_cross_entropy(student, teacher, temperature),
        soft_targets(student, teacher, temperature),
    )
    torch.testing.assert_close(one, other + entropy)
    torch.testing.assert_close(gradient(one, student), gradient(other, student))


def test_regression_and_its_gradient() -> None:
    student, teacher, _ = logits(3)
    student.requires_grad_()
    loss = regression(student, teacher)
    assert float(loss.detach()) == pytest.approx(float((student.detach() - teacher).square().mean()))
    torch.testing.assert_close(gradient(loss, student), 2 * (student.detach() - teacher) / student.numel())


@settings(deadline=None, max_examples=40)
@given(st.floats(0.5, 10), st.integers(0, 10_000))
def test_multi_label_gradient_is_the_difference_of_probabilities(temperature: float, seed: int) -> None:
    student, teacher, _ = logits(seed)
    student.requires_grad_()
    found = gradient(multi_label(student, teacher, temperature), student)
    s, t = torch.sigmoid(student.detach() / temperature), torch.sigmoid(teacher / temperature)
    torch.testing.assert_close(found, temperature * (s - t) / student.numel())


@pytest.mark.parametrize("loss", [soft_targets, standardised, soft_cross_entropy, regression, multi_label])
def test_gradients_are_the_slopes(loss: Callable[..., torch.Tensor]) -> None:
    student, teacher, _ = logits(4, 3, 4)
    assert torch.autograd.gradcheck(loss, (student.requires_grad_(), teacher))


@pytest.mark.parametrize("loss", [hinton, decoupled])
def test_gradients_with_labels_are_the_slopes(loss: Callable[..., torch.Tensor]) -> None:
    student, teacher, labels = logits(5, 3, 4)
    assert torch.autograd.gradcheck(lambda z: loss(z, teacher, labels), (student.requires_grad_(),))
