"""Sizing as a command and as a build's stage: it says why, it is kept, and it changes no other build."""

from pathlib import Path

import pytest

from edgedistill import choose, target
from edgedistill import recipe as recipes
from edgedistill.deliver import Run
from edgedistill.distill import parallel
from edgedistill.errors import BudgetError, InputError
from edgedistill.recipe import QuantiseSection, Recipe, SizingSection, TeacherSection
from edgedistill.reporter import QuietReporter
from edgedistill.size import size
from edgedistill.sizing import budget, history, search
from edgedistill.store import Store
from edgedistill.students import parse

LIMITS = {"ram": "6KiB", "weights": "8KiB"}


@pytest.fixture(autouse=True)
def generation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "GENERATION", 10)  # a trial takes tens of milliseconds in Optuna's storage


def recipe(**budget: str) -> Recipe:
    sizing = SizingSection(families=("resnet",), trials=20)
    return Recipe(targets=("android-arm64",), sizing=sizing, budget=budget)


def test_the_chosen_student_keeps_the_budget_and_a_second_call_repeats_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = size(recipe(**LIMITS), tmp_path, flags=("ram",))
    chosen = found.chosen
    assert found.judged >= 10 and 0 < found.fitting <= found.judged
    assert chosen.ram_bytes <= 6 * 1024 and chosen.weight_bytes <= 8 * 1024 and chosen.misses == ()
    assert parse(chosen.student).build(10, 1) is not None
    assert found.binding in ("ram", "weights") and found.binding in found.reason
    assert chosen.student in found.reason and found.search == "quick"
    scores = [candidate.score or 0 for candidate in found.front]
    assert scores == sorted(scores, reverse=True) and chosen.score == scores[0]
    assert found.naive is not None and found.naive.student == "resnet"

    monkeypatch.setattr(search, "search", None)
    assert found.chosen.student in (tmp_path / "size.html").read_text(encoding="utf-8")
    assert size(recipe(**LIMITS), tmp_path) == found


def test_a_student_is_no_larger_than_its_teacher(tmp_path: Path) -> None:
    found = size(recipe(ram="100KiB"), tmp_path)
    assert found.budget["weights"] == 94_642 and found.teachers == ("weights",)
    assert found.chosen.weight_bytes <= 94_642
    own = size(recipe(ram="100KiB", weights="200KiB"), tmp_path / "own")
    assert own.budget["weights"] == 200 * 1024 and own.teachers == ()
    alone = recipe(ram="6KiB").model_copy(update={"teacher": TeacherSection(spec="none")})
    assert "weights" not in size(alone, tmp_path / "alone").budget


def test_of_several_processes_one_chooses_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that talked to others would fail: there are none."""
    two = parallel.Team(rank=0, size=2)
    monkeypatch.setattr(parallel, "_team", two)
    with pytest.raises(ValueError, match="process group has not been initialized"):
        parallel.once(str)
    assert size(recipe(**LIMITS), tmp_path).chosen.misses == ()
    assert parallel.team() is two


def test_an_impossible_budget_ends_at_once(tmp_path: Path) -> None:
    with pytest.raises(
        BudgetError, match="no student keeps the budget: the smallest there is, resnet:width=4"
    ):
        size(recipe(weights="100B"), tmp_path)


def test_layers_in_int16_are_named_of_a_named_student_alone(tmp_path: Path) -> None:
    named = recipe(**LIMITS).model_copy(update={"quantise": QuantiseSection(int16=("stem",))})
    with pytest.raises(
        InputError, match="layers are named in int16, and students are searched in int8"
    ) as error:
        size(named, tmp_path)
    assert error.value.where == "quantise.int16"
    auto = recipe(**LIMITS).model_copy(update={"quantise": QuantiseSection(int16="auto")})
    assert size(auto, tmp_path).chosen.misses == ()


def test_a_limit_without_its_fact_and_no_limit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing limits the student"):
        size(recipe(accuracy="90%"), tmp_path)
    bare = (
        'title = "A"\nisa = {value = "a", source = "s"}\n'
        'runtimes = {value = ["litert"], source = "s"}\nformats = {value = ["tflite"], source = "s"}\n'
    )
    (tmp_path / "bare.toml").write_text(bare)
    without = recipe(latency="2ms").model_copy(update={"targets": (str(tmp_path / "bare.toml"),)})
    with pytest.raises(InputError, match="latency cannot be predicted: A has no cost model") as caught:
        size(without, tmp_path)
    assert "target bare, budget.latency" in str(caught.value)


@pytest.mark.parametrize(
    ("student", "search", "limits", "sized"),
    [
        ("auto", "auto", {"flash": "96KiB"}, True),
        ("auto", "auto", {}, False),  # as before
        ("auto", "auto", {"accuracy": "90%"}, False),
        ("auto", "none", {"flash": "96KiB"}, False),
        ("auto", "quick", {"flash": "96KiB"}, True),
        ("resnet", "auto", {"flash": "96KiB"}, False),
    ],
)
def test_a_build_sizes_where_a_budget_limits_and_no_student_is_named(
    student: str, search: str, limits: dict[str, str], sized: bool
) -> None:
    made = Recipe().model_copy(
        update={
            "student": recipes.StudentSection(spec=student),
            "sizing": SizingSection.model_validate({"search": search}),
            "budget": limits,
        }
    )
    device = target.load("android-arm64").model_copy(update={"budget": {}})
    assert (choose.wanted(made, [device]) is not None) is sized


def test_a_build_skips_what_nothing_predicts_and_a_search_that_was_asked_for_does_not() -> None:
    device = target.load("android-arm64").model_copy(update={"budget": {}})
    made = Recipe(budget={"latency": "2ms", "flash": "96KiB"})
    found = choose.wanted(made, [device], lambda *_: "nothing is known")
    assert found is not None and set(found.numbers()) == {"flash"}
    (told,) = choose.unpredictable(made, [device], lambda *_: "nothing is known")
    assert told == "the student is not chosen for the limit of latency: nothing is known"
    named = made.model_copy(update={"student": recipes.StudentSection(spec="resnet")})
    assert choose.unpredictable(named, [device], lambda *_: "nothing is known") == ()
    asked = made.model_copy(update={"sizing": SizingSection(search="quick")})
    with pytest.raises(InputError, match="nothing is known"):
        choose.wanted(asked, [device], lambda *_: "nothing is known")


def test_a_named_student_and_a_search_contradict() -> None:
    with pytest.raises(InputError, match="the student is named, so there is nothing to search: resnet"):
        recipes.resolve(None, {"student.spec": "resnet", "sizing.search": "quick"})


def test_a_recipe_that_does_not_size_reads_as_before() -> None:
    assert "sizing" not in recipes.to_toml(Recipe())
    assert "trials = 5" in recipes.to_toml(Recipe(sizing=SizingSection(trials=5)))


def test_the_student_goes_into_the_recipe(tmp_path: Path) -> None:
    made = size(recipe(**LIMITS), tmp_path)
    run = choose.with_student(Run(recipe(**LIMITS), Store(tmp_path), QuietReporter()), made)
    assert run.recipe.student.spec == made.chosen.student and run.sizing == made
    assert run.recipe.sizing == SizingSection()
    recipes.check(run.recipe)
    assert budget.of(run.recipe, [target.load("android-arm64")]).sizes
