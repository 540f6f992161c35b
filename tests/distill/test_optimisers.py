"""Optimisers: what Muon's step is, and that each optimiser learns and resumes."""

from __future__ import annotations

import copy
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgedistill.distill.optimisers import OPTIMISERS, orthogonalise
from edgedistill.recipe import DistillSection


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(0, 2**16))
def test_orthogonalise_brings_singular_values_near_one(rows: int, columns: int, seed: int) -> None:
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    values = torch.linalg.svdvals(matrix)
    well_conditioned = values > 0.05 * values.max()
    result = torch.linalg.svdvals(orthogonalise(matrix))
    assert result.shape == values.shape
    assert result.max() < 1.3
    assert (result[well_conditioned] > 0.4).all()


def test_orthogonalise_keeps_the_direction_of_singular_vectors() -> None:
    matrix = torch.randn(8, 20, generator=torch.Generator().manual_seed(1))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    cosine = torch.nn.functional.cosine_similarity(
        orthogonalise(matrix).flatten(), (left @ right).flatten(), dim=0
    )
    assert cosine > 0.95


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_lowers_the_loss_and_goes_on_from_its_state(name: str) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    x, y = torch.randn(32, 2, 6, 6), torch.randint(0, 3, (32,))

    def step(model: nn.Module, optimiser: torch.optim.Optimizer) -> float:
        loss = nn.functional.cross_entropy(model(x), y)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return float(loss.detach())

    optimiser = OPTIMISERS[name](net, 0.01, 0.01)
    first = step(net, optimiser)
    for _ in range(20):
        last = step(net, optimiser)
    assert last < 0.8 * first
    other = copy.deepcopy(net)
    resumed = OPTIMISERS[name](other, 0.01, 0.01)
    resumed.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    for _ in range(2):
        step(net, optimiser)
        step(other, resumed)
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_recipe_can_name_every_optimiser_and_no_other() -> None:
    assert set(get_args(DistillSection.model_fields["optimiser"].annotation)) == set(OPTIMISERS)
