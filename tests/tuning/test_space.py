"""The search space holds the recipe's own values, never mirrors by itself, and writes a valid recipe."""

from __future__ import annotations

import pytest

from edgedistill.errors import InputError, UnknownNameError
from edgedistill.recipe import Recipe
from edgedistill.tuning.space import KNOBS, Choice, Span, applied, own, space


def recipe(**distill: object) -> Recipe:
    return Recipe.model_validate({"distill": distill, "data": {"source": "photos"}})


def test_every_row_is_a_key_of_the_recipe_and_holds_its_value() -> None:
    for name, within in space(recipe(), "image-classification", tuple(KNOBS)).items():
        value = own(recipe(), name)
        if isinstance(within, Span):
            assert within.low <= float(value) <= within.high
        else:
            assert value in within.values


@pytest.mark.parametrize(
    ("name", "key", "value"), [("temperature", "temperature", 40.0), ("alpha", "alpha", 1.0)]
)
def test_a_range_grows_to_the_recipes_value(name: str, key: str, value: float) -> None:
    within = space(recipe(**{key: value}), "image-classification", (name,))[name]
    assert isinstance(within, Span) and within.high >= value


def test_rates_are_searched_around_the_recipes() -> None:
    within = space(recipe(lr=0.4), "image-classification", ("lr",))["lr"]
    assert within == Span(0.05, 1.6, log=True)
    assert "weight-decay" not in space(recipe(weight_decay=0.0), "image-classification")


def test_plain_training_has_no_temperature() -> None:
    found = space(recipe(alpha=0.0), "image-classification")
    assert "temperature" not in found and "lr" in found
    with pytest.raises(InputError, match="nothing to search"):
        space(recipe(alpha=0.0), "image-classification", ("temperature",))


def test_a_mix_of_losses_has_no_alpha() -> None:
    found = space(recipe(losses=[{"name": "dkd"}]), "image-classification")
    assert "alpha" not in found and "temperature" in found


def test_a_named_mix_becomes_its_losses_and_the_recipes_own_stays() -> None:
    within = space(recipe(), "image-classification", ("losses",))["losses"]
    assert isinstance(within, Choice) and own(recipe(), "losses") == "hinton"
    for name in map(str, within.values):
        made = applied(recipe(), {"losses": name})
        assert own(made, "losses") == name and bool(made.distill.losses) == (name != "hinton")
    mine = recipe(losses=[{"name": "dkd", "weight": 3.0}])
    found = space(mine, "image-classification", ("losses",))["losses"]
    assert isinstance(found, Choice) and own(mine, "losses") in found.values
    assert applied(mine, {"losses": own(mine, "losses")}).distill == mine.distill
    assert applied(mine, {"losses": "hinton"}).distill == recipe().distill
    assert "losses" not in space(recipe(alpha=0.0), "image-classification", ("losses", "lr"))


def test_an_adversarial_method_has_losses_of_its_own() -> None:
    made = Recipe.model_validate({"adversarial": {"method": "ard"}})
    found = space(made, "image-classification", ("losses", "alpha", "lr"))
    assert "losses" not in found and isinstance(found["alpha"], Span) and found["alpha"].low > 0
    made = Recipe.model_validate({"adversarial": {"method": "rslad"}})
    assert "alpha" not in space(made, "image-classification", ("alpha", "lr"))


def test_no_set_mirrors_what_the_recipe_does_not() -> None:
    plain = Recipe.model_validate({"data": {"source": "letters", "augment": ["pad-crop"]}})
    within = space(plain, "image-classification", ("augment",))["augment"]
    assert within == Choice(("pad-crop",))
    mirrored = space(recipe(), "image-classification", ("augment",))["augment"]
    assert isinstance(mirrored, Choice) and "pad-crop,flip,cutout" in mirrored.values
    digits = space(Recipe(), "image-classification", ("augment",))["augment"]
    assert isinstance(digits, Choice) and not any("flip" in str(value) for value in digits.values)


def test_values_reach_the_recipe_rounded_but_its_own_do_not_change() -> None:
    exact = recipe(lr=0.123456)
    drawn = {"temperature": 5.37281, "lr": 0.123456, "augment": "pad-crop,cutout", "batch": 64}
    made = applied(exact, drawn)
    assert (made.distill.temperature, made.distill.lr, made.distill.batch) == (5.37, 0.123456, 64)
    assert made.data.augment == ("pad-crop", "cutout")
    everything = {name: own(exact, name) for name in KNOBS}
    assert applied(exact, everything).distill == exact.distill


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean temperature"):
        space(recipe(), "image-classification", ("temprature",))
