"""Recipes: strict in, complete out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistill import recipe as recipes
from edgedistill import target
from edgedistill.errors import InputError
from edgedistill.recipe import DataSection, Recipe


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


def test_reads_lists_numbers_and_sections(tmp_path: Path) -> None:
    text = "targets = ['raspberry-pi-5']\n[distill]\ntemperature = 3\n"
    text += "[budget]\nlatency = '2ms'\nflash = '96KiB'\n"
    found = recipes.load(write(tmp_path, text))
    assert found.targets == ("raspberry-pi-5",)
    assert found.distill.temperature == 3.0
    assert recipes.budget(found) == {"latency": 2.0, "flash": 98_304}


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        (
            "[distill]\ntemperature = 0",
            "distill.temperature must be greater than 0; it is 0",
            "distill.temperature",
        ),
        (
            "[distill]\ntemprature = 2",
            "unknown key 'distill.temprature'",
            "did you mean 'distill.temperature'?",
        ),
        ("[destill]\nepochs = 2", "unknown key 'destill'", "did you mean 'distill'?"),
        ("temperature = 2", "unknown key 'temperature'", "did you mean 'distill.temperature'?"),
        ("[distill]\nepochs = '3'", "distill.epochs must be a whole number; it is '3'", "distill.epochs"),
        ("[distill]\nepochs = 2.5", "distill.epochs must be a whole number; it is 2.5", "distill.epochs"),
        ("[distill]\nlr = inf", "distill.lr must be a finite number; it is inf", "distill.lr"),
        ("[distill]\nalpha = 1.5", "distill.alpha must be at most 1; it is 1.5", "distill.alpha"),
        (
            "[distill]\noptimiser = 'adam'",
            "distill.optimiser must be 'sgd', 'adamw' or 'muon'; it is 'adam'",
            "optimiser",
        ),
        (
            "[[distill.losses]]\nname = 'hint'\nweight = -1",
            "distill.losses[0].weight must be at least 0; it is -1",
            "distill.losses[0].weight",
        ),
        (
            "[[distill.losses]]\nname = 'hint'\nweight = nan",
            "distill.losses[0].weight must be a finite number",
            "weight",
        ),
        (
            "[[distill.losses]]\nname = 'hint'\nweight = 0",
            "every weight is 0, so nothing would be learned",
            "above 0",
        ),
        (
            "[[distill.losses]]\nname = 'dkd'\ntemperature = 0",
            "distill.losses[0].temperature must be greater than 0; it is 0",
            "temperature",
        ),
        (
            "[[distill.losses]]\nname = 'dkd'\n[[distill.losses]]\nname = 'pkt'\nwieght = 1",
            "unknown key 'distill.losses[1].wieght'",
            "did you mean 'distill.losses[].weight'?",
        ),
        ("[[distill.losses]]\nweight = 1", "the key 'distill.losses[0].name' is missing", ""),
        ("[distill]\ncache_limit = 'much'", "'much' is not a size", "KiB"),
        ("trust = 1", "trust must be true or false; it is 1", "trust"),
        ("seed = true", "seed must be a whole number; it is true", "seed"),
        ("distill = 3", "distill must be a table; it is 3", "distill"),
        ("targets = 'a'", "targets must be a list [...]; it is 'a'", "targets"),
        ("targets = []", "no target is named", "android-arm64"),
        ("targets = ['a', 'a']", "a target is named twice", "once"),
        ("[export]\nformats = []", "no format is asked for", "formats"),
        ("[budget]\nlatncy = '2ms'", "there is no limit named 'latncy'", "did you mean latency?"),
        ("[budget]\nlatency = '2'", "'2' is not a time", "2ms"),
        ("[distill", "this is not TOML", "toml.io"),
    ],
)
def test_a_mistake_names_file_key_and_remedy(tmp_path: Path, text: str, what: str, fix: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        recipes.load(path)
    assert what in caught.value.what
    assert str(path) in (caught.value.where or "")
    assert fix in (caught.value.fix or "")


def test_a_missing_file_offers_its_neighbour(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    with pytest.raises(InputError, match=r"(?s)does not exist.*did you mean .*recipe\.toml"):
        recipes.load(tmp_path / "recipes.toml")
    with pytest.raises(InputError, match=r"cannot be read: Is a directory"):
        recipes.load(tmp_path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"(?s)not UTF-8.*byte 0"):
        recipes.load(path)


def test_overrides_win_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "seed = 1\n[distill]\nepochs = 5\n[budget]\nram = '1MB'\n")
    found = recipes.resolve(path, {"distill.epochs": 2, "budget.flash": "1MB", "export.formats": ["onnx"]})
    assert (found.seed, found.distill.epochs, found.export.formats) == (1, 2, ("onnx",))
    assert found.budget == {"ram": "1MB", "flash": "1MB"}


def test_an_override_of_no_key_offers_the_nearest() -> None:
    with pytest.raises(
        InputError, match=r"(?s)unknown key 'distil\.epochs'.*command line.*'distill\.epochs'"
    ):
        recipes.resolve(None, {"distil.epochs": 2})
    with pytest.raises(InputError, match=r"(?s)unknown key 'distill\.epochs\.x'"):
        recipes.resolve(None, {"distill.epochs.x": 2})


@settings(deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.integers(0, 2**62),
    st.floats(1e-9, 0.49),
    st.none() | st.integers(4, 512),
)
def test_what_is_written_is_read_back(source: str, seed: int, share: float, resolution: int | None) -> None:
    data = DataSection(source=source, validation_share=share, resolution=resolution)
    before = Recipe(seed=seed, data=data, budget={"latency": "2ms"})
    text = recipes.to_toml(before)
    after = recipes.parse_toml(text, Recipe, "text")
    assert after == before
    assert recipes.sha256(after) == recipes.sha256(before)


def test_the_hash_is_of_what_is_said_not_of_how(tmp_path: Path) -> None:
    one = recipes.load(write(tmp_path, "[distill]\nepochs = 30\n"))
    assert recipes.sha256(one) == recipes.sha256(Recipe())
    assert recipes.sha256(one) != recipes.sha256(recipes.resolve(None, {"distill.epochs": 31}))


def test_formats_follow_the_target_unless_they_are_named() -> None:
    board, phone = target.load("cortex-m4"), target.load("android-arm64")
    assert recipes.formats(Recipe(), phone) == ("onnx", "tflite", "coreml")
    assert recipes.formats(Recipe(), board) == ("c", "onnx", "tflite")
    named = recipes.resolve(None, {"export.formats": ["tflite"]})
    assert recipes.formats(named, board) == recipes.formats(named, phone) == ("tflite",)
    assert "formats" not in recipes.to_toml(Recipe())


def test_a_mix_of_losses_is_read_written_and_overridden(tmp_path: Path) -> None:
    text = (
        "[[distill.losses]]\nname = 'hinton'\ntemperature = 3\n"
        "[[distill.losses]]\nname = 'hint'\nweight = 2\ntaps = ['a <- b']\n"
        "options = { 'od d' = 1, x = 0.5 }\n"
    )
    found = recipes.load(write(tmp_path, text))
    first, second = found.distill.losses
    assert (first.weight, first.temperature, second.temperature) == (1.0, 3.0, None)
    assert second.options == {"od d": 1.0, "x": 0.5} and second.taps == ("a <- b",)
    again = recipes.parse_toml(recipes.to_toml(found), Recipe, "text")
    assert again == found and recipes.sha256(again) == recipes.sha256(found) != recipes.sha256(Recipe())
    other = recipes.resolve(tmp_path / "recipe.toml", {"distill.losses": [{"name": "pkt"}]})
    assert [loss.name for loss in other.distill.losses] == ["pkt"]


def test_the_schema_knows_the_limits() -> None:
    schema = recipes.json_schema()
    assert schema["$defs"]["DistillSection"]["properties"]["temperature"]["exclusiveMinimum"] == 0
    assert schema["$defs"]["LossSection"]["properties"]["weight"]["minimum"] == 0
    json.dumps(schema)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"teachers": []}, r"no teacher is named.*teachers"),
        ({"teachers": [{"spec": "digits"}], "teacher.spec": "timm:a"}, r"one teacher and several.*\[\[teach"),
        ({"distill.combine": "logits"}, r"nothing is combined.*distill\.combine"),
        ({"teachers": [{"spec": "digits"}], "data.source": "synthetic"}, r"made from one teacher"),
        ({"teacher.spec": "none", "data.source": "synthetic"}, r"made from one teacher"),
        ({"teachers": [{"spec": "digits", "weight": 0}]}, r"teachers\[0\]\.weight must be greater than 0"),
        ({"teachers": [{"spc": "digits"}]}, r"unknown key 'teachers\[0\]\.spc'.*'teachers\[\]\.spec'"),
        ({"distill.generations": 1}, r"generations must be at least 2"),
        ({"distill.mixup": 0}, r"mixup must be greater than 0"),
        ({"bench.baseline": True, "data.unlabelled": "more"}, r"no training without the teacher"),
        (
            {"data.source": "synthetic", "data.test": "photos", "distill.generations": 2},
            r"after all training.*distill\.generations",
        ),
    ],
)
def test_mistakes_of_several_teachers_and_trainings(more: dict[str, object], text: str) -> None:
    with pytest.raises(InputError, match=f"(?s){text}"):
        recipes.resolve(None, more)


def test_choices_that_were_not_made_are_not_written(tmp_path: Path) -> None:
    """So that what was built before there were such choices keeps its hash."""
    plain, members = recipes.Recipe(), [{"spec": "digits", "weight": 2.0}, {"spec": "timm:a"}]
    for word in ("mixup", "combine", "assistants", "generations", "teachers"):
        assert word not in recipes.to_toml(plain) and word not in plain.model_dump_json()
    made = recipes.resolve(
        None, {"teachers": members, "distill.mixup": 0.5, "distill.assistants": ["a", "b"]}
    )
    path = tmp_path / "recipe.toml"
    path.write_text(recipes.to_toml(made))
    assert recipes.load(path) == made != plain


def test_family_f_is_the_hash_of_recipes_without_a_family_and_d_needs_c() -> None:
    from edgedistill import target

    d = recipes.resolve(None, {"export.family": "D"})
    assert recipes.sha256(recipes.resolve(None, {"export.family": "F"})) == recipes.sha256(Recipe())
    assert recipes.sha256(d) != recipes.sha256(Recipe()) and 'family = "D"' in recipes.to_toml(d)
    recipes.check_family(d, [target.load("android-arm64"), target.load("cortex-m4")])
    with pytest.raises(InputError, match="C is not among the formats"):
        recipes.check_family(d, [target.load("android-arm64")])
