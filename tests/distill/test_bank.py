"""The memory bank remembers every example once, and never contrasts an example with itself."""

import pytest
import torch
import torch.nn.functional as F

from edgedistill.distill.bank import Bank


def bank(examples: int = 9, negatives: int = 40, momentum: float = 0.5) -> Bank:
    torch.manual_seed(0)
    return Bank(3, 5, examples, dimension=4, negatives=negatives, tau=0.5, momentum=momentum)


def test_negatives_are_all_the_others() -> None:
    others = bank(negatives=300)._others(torch.tensor([0, 4, 8]))
    assert others.shape == (3, 300)
    for row, own in zip(others, (0, 4, 8), strict=True):
        assert set(row.tolist()) == set(range(9)) - {own}


def test_a_step_remembers_its_own_examples_only() -> None:
    made = bank()
    before, teachers = made.own.clone(), made.teachers.clone()
    indices, student, teacher = torch.tensor([1, 6]), torch.randn(2, 3), torch.randn(2, 5)
    made(student, teacher, indices)
    u = F.normalize(made.student(student), dim=1)
    expected = F.normalize(0.5 * before[indices] + 0.5 * u, dim=1)
    torch.testing.assert_close(made.own[indices], expected)
    rest = [i for i in range(9) if i not in (1, 6)]
    assert torch.equal(made.own[rest], before[rest]) and torch.equal(made.teachers[rest], teachers[rest])
    torch.testing.assert_close(made.own.norm(dim=1), torch.ones(9))


def test_the_constants_are_the_first_batchs() -> None:
    made = bank()
    indices = torch.tensor([0, 2])
    assert bool(made.log_means.isnan().all())
    made(torch.randn(2, 3), torch.randn(2, 5), indices)
    first = made.log_means.clone()
    made(torch.randn(2, 3) * 9, torch.randn(2, 5), indices)
    assert bool(first.isfinite().all()) and torch.equal(made.log_means, first)


def test_it_learns_to_tell_examples_apart() -> None:
    """Teacher and student see the same example: the loss falls far below where chance leaves it."""
    made = bank(negatives=8)
    things = torch.randn(9, 5)
    view = torch.randn(5, 3)
    optimiser = torch.optim.SGD(made.parameters(), lr=0.5)
    losses = []
    for _ in range(60):
        loss = made(things @ view, things, torch.arange(9))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


def test_feature_maps_are_averaged() -> None:
    maps = torch.randn(2, 3, 4, 4)
    values = []
    for student in (maps, maps.mean((2, 3))):
        made = bank()
        torch.manual_seed(1)
        values.append(float(made(student, torch.ones(2, 5), torch.tensor([0, 1])).detach()))
    assert values[0] == pytest.approx(values[1], rel=1e-5)
