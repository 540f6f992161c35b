"""Every published mix is one that a recipe may name."""

import pytest

from edgedistill.distill import mix
from edgedistill.distill.published import MIXES
from edgedistill.recipe import DistillSection


@pytest.mark.parametrize("name", MIXES)
def test_a_recipe_can_hold_it(name: str) -> None:
    section = DistillSection(losses=MIXES[name])
    mix.check(section)
    assert mix.asks_teacher(section) == (name != "plain")
