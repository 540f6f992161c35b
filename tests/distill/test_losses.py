"""The losses against their closed forms and known gradients."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.distill.losses import hard_labels, hinton, soft_targets


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
