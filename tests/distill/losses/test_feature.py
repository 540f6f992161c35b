"""Losses on layers against their closed forms, what they must not see, and their gradients."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistill.distill.losses.feature import attention, cosine, hint, many_to_one


def maps(seed: int, channels: int = 4, count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, 3, 2, generator=generator, dtype=torch.float64)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000))
def test_hint_is_half_the_mean_square(seed: int) -> None:
    student, teacher = maps(seed).requires_grad_(), maps(seed + 1)
    loss = hint(student, teacher)
    assert float(loss.detach()) == pytest.approx(0.5 * float((student.detach() - teacher).square().mean()))
    found = torch.autograd.grad(loss, student)[0]
    torch.testing.assert_close(found, (student.detach() - teacher) / student.numel())


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.1, 30))
def test_attention_sees_neither_order_nor_number_nor_size_of_channels(seed: int, scale: float) -> None:
    student, teacher = maps(seed), maps(seed + 1, channels=6)
    expected = attention(student, teacher)
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(attention(student[:, order], teacher), expected)
    torch.testing.assert_close(attention(torch.cat((student, student), 1) * scale, teacher), expected)
    assert float(attention(scale * teacher[:, [5, 3, 1, 0, 2, 4]], teacher)) == pytest.approx(0, abs=1e-12)


def test_attention_follows_its_definition() -> None:
    student, teacher = maps(0), maps(1, channels=6)
    q, p = (x.square().sum(1).flatten(1) for x in (student, teacher))
    q, p = (x / x.square().sum(1, keepdim=True).sqrt() for x in (q, p))
    torch.testing.assert_close(attention(student, teacher), (q - p).square().mean())
    assert float(attention(maps(0), maps(1), power=4.0)) != pytest.approx(float(attention(maps(0), maps(1))))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.1, 30))
def test_cosine_sees_direction_only(seed: int, scale: float) -> None:
    student, teacher = maps(seed), maps(seed + 1)
    torch.testing.assert_close(cosine(scale * student, teacher), cosine(student, teacher))
    assert float(cosine(scale * teacher, teacher)) == pytest.approx(0, abs=1e-9)
    assert float(cosine(-teacher, teacher)) == pytest.approx(2)


def test_cosine_of_vectors() -> None:
    student, teacher = torch.tensor([[3.0, 4.0]]), torch.tensor([[4.0, 3.0]])
    assert float(cosine(student, teacher)) == pytest.approx(1 - 24 / 25)


def test_many_to_one_of_one_layer_is_the_mean_square() -> None:
    student, teacher = maps(0), maps(1)
    torch.testing.assert_close(many_to_one(student, [student], [teacher]), F.mse_loss(student, teacher))


def test_many_to_one_weights_the_layer_that_relates_examples_alike() -> None:
    """A far teacher layer with the student's own similarities outweighs one with other ones."""
    student = maps(0, count=6)
    alike, other = 3 * student, maps(7, count=6)
    loss = many_to_one(
        student, [alike, other], [alike + 1, other]
    )  # distances 1 and 0: loss is alike's weight
    assert 0.5 < float(loss) < 1
    swapped = many_to_one(student, [other, alike], [other, alike + 1])
    torch.testing.assert_close(loss, swapped)


@pytest.mark.parametrize("loss", [hint, attention, cosine])
def test_gradients_are_the_slopes(loss: object) -> None:
    assert torch.autograd.gradcheck(loss, (maps(2).requires_grad_(), maps(3)))  # type: ignore[arg-type]


def test_gradient_of_many_to_one_is_the_slope() -> None:
    teachers = [maps(3), maps(4)]
    student = maps(2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: many_to_one(x, [2 * x, x + 1], teachers), (student,))
