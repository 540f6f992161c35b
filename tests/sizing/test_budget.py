"""Limits come from the command line, the recipe, a target's default and its memories, and say so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill import target, units
from edgedistill.errors import InputError
from edgedistill.recipe import Recipe
from edgedistill.sizing import budget


def device(name: str = "nucleo-l4r5zi", **limits: str) -> target.Target:
    return target.load(name).model_copy(update={"budget": limits})


def test_each_limit_remembers_where_it_is_from() -> None:
    recipe = Recipe(budget={"weights": "96KiB", "ram": "54KiB", "accuracy": "90%"})
    found = budget.of(recipe, [device(flash="1MiB", ram="320KiB")], flags=("ram",))
    words = [limit.words for limit in found.tightest()]
    assert words == [
        "at most 1.0 MiB of flash (the default of nucleo-l4r5zi)",
        "at most 54.0 KiB of ram (--budget)",
        "at most 96.0 KiB of weights (the recipe's budget)",
    ]
    assert found.numbers() == {"flash": 2**20, "ram": 54 * 1024, "weights": 96 * 1024, "accuracy": 0.9}
    assert found.floor is not None and found.floor.words == "at least 90.0% of accuracy (the recipe's budget)"


def test_a_device_has_no_more_than_its_memories() -> None:
    found = budget.of(Recipe(budget={"ram": "1GiB"}), [device()])
    ram = next(limit for limit in found.tightest() if limit.name == "ram")
    assert (ram.value, ram.memory) == (655_360, True)
    assert "ST NUCLEO" in ram.source


def test_of_several_devices_the_tightest_counts() -> None:
    small, large = device(flash="64KiB"), device("stm32f746-disco", flash="512KiB")
    found = budget.of(Recipe(), [large, small])
    assert found.numbers()["flash"] == 64 * 1024


def test_a_teachers_size_limits_weights_that_nobody_else_does() -> None:
    limits = budget.of(Recipe(budget={"weights": "1KiB"}), [target.load("cortex-m4")])
    assert limits.below_teacher(5).numbers()["weights"] == 1024
    free = budget.of(Recipe(budget={"ram": "1KiB"}), [target.load("cortex-m4")])
    (weights,) = (one for one in free.below_teacher(5000).tightest() if one.name == "weights")
    assert weights.teacher and weights.words == (
        "at most 4.9 KiB of weights (as many as the teacher has parameters)"
    )
    assert "weights" not in free.numbers()


def test_memories_alone_ask_for_no_search_and_a_default_does() -> None:
    assert not budget.of(Recipe(), [device()]).sizes
    assert budget.of(Recipe(), [device(flash="64KiB")]).sizes
    assert budget.of(Recipe(budget={"latency": "2ms"}), [device()]).sizes


def test_a_missing_fact_is_named() -> None:
    found = budget.of(Recipe(budget={"latency": "2ms", "ram": "54KiB"}), [device()], flags=("latency",))
    with pytest.raises(InputError) as caught:
        found.check([device()], lambda _, quantity: f"there is no [clock_hz] for {quantity}")
    assert "latency cannot be predicted: there is no [clock_hz] for latency" in str(caught.value)
    assert "target nucleo-l4r5zi, budget.latency (--budget)" in str(caught.value)
    found.check([device()], lambda *_: None)
    found.without({"latency"}).check([device()], lambda *_: "nothing is known")


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["flash"], "'flash' is not KEY=VALUE"),
        (["flash="], "is not KEY=VALUE"),
        (["flsh=96KiB"], "did you mean flash?"),
        (["flash=0"], "the limit is 0"),
        (["latency=0ms"], "the limit is 0ms"),
        (["accuracy=0%"], "the limit is 0%"),
        (["flash=-5KiB"], "'-5KiB' is not a size"),
        (["flash=96KX"], "'96KX' is not a size"),
        (["latency=2"], "'2' is not a time"),
        (["accuracy=120%"], "more than the whole"),
        (["flash=96KiB,flash=64KiB"], "two limits of flash contradict each other: 96KiB and 64KiB"),
        (["flash=96KiB", "ram=1MB", "flash=1MB"], "two limits of flash contradict each other: 96KiB and 1MB"),
    ],
)
def test_what_is_no_limit_is_told(texts: list[str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        budget.parse_flags(texts)
    assert words in str(caught.value)
    assert caught.value.exit_code == 2 and "--budget" in str(caught.value.where)


def test_the_same_limit_twice_is_no_contradiction() -> None:
    assert budget.parse_flags(["flash=1KiB,ram=2KiB", "flash=1024"]) == {"flash": "1024", "ram": "2KiB"}


@given(st.integers(1, 2**40))
def test_a_size_is_read_as_it_is_printed(count: int) -> None:
    read = units.parse_bytes(units.format_bytes(count).replace(",", ""))
    assert read == pytest.approx(count, rel=0.06)
    assert budget.amount("flash", count) == units.format_bytes(count)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("accuracy", 0.9, "90.0%"),
        ("macs", 12.5e6, "12.5 M"),
        ("latency", 2.0, "2.00 ms"),
        ("energy", 3, "3 mJ"),
    ],
)
def test_amounts_read_as_people_write_them(name: str, value: float, words: str) -> None:
    assert budget.amount(name, value) == words
