"""A search keeps what it learnt, reads no test example, and says so when the default was best."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedistill import data as data_sets
from edgedistill import recipe as recipes
from edgedistill import tune as tune_page
from edgedistill.data.types import ImageData, Split
from edgedistill.deliver import Run
from edgedistill.errors import GateError, InputError
from edgedistill.evidence import Evidence
from edgedistill.recipe import Recipe
from edgedistill.record import EpochLog
from edgedistill.reporter import QuietReporter
from edgedistill.tune import thinned, tune

RECIPE = Recipe.model_validate(
    {
        "targets": ["linux-x86_64"],
        "data": {"limit": 120},
        "student": {"spec": "resnet:width=4"},
        "distill": {"views": 1, "batch": 50, "precision": "float32"},
    }
)
SEARCH = ("temperature", "alpha", "lr")
Fake = Callable[..., Any]


def fake(peak: float = 8.0) -> Fake:
    """In place of a training: the nearer to the temperature ``peak``, the better, rising by epoch."""

    def distil(
        run: Run, spec: object, data: object, teacher: object, *, after_epoch: Any
    ) -> tuple[None, tuple[EpochLog, ...]]:
        choices = run.recipe.distill
        run.hashes["distill"] = f"{choices.temperature}"
        end = 0.9 - 0.1 * abs(math.log(choices.temperature / peak))
        logs: list[EpochLog] = []
        for epoch in range(1, choices.epochs + 1):
            logs.append(
                EpochLog(
                    stage="distill",
                    epoch=epoch,
                    loss=1.0,
                    validation_accuracy=end * epoch / choices.epochs,
                    images_per_s=1.0,
                    seconds=1.0,
                    lr=0.1,
                )
            )
            after_epoch(tuple(logs))
        return None, tuple(logs)

    return distil


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Evidence]:
    """``searched(trials, distil=fake())`` into one folder, without tracing or training a student."""
    monkeypatch.setattr(tune_page, "trace_student", lambda *_: None)
    monkeypatch.setattr(tune_page.fits, "check", lambda *_: None)

    def run(trials: int, distil: Fake | None = None, out: str = "out", **more: Any) -> Evidence:
        monkeypatch.setattr(tune_page, "distil", distil or fake())
        return tune(RECIPE, tmp_path / out, trials=trials, epochs=4, **{"search": SEARCH, **more})

    return run


class _Unreadable:
    """Test images that nobody may look at."""

    shape = (1, 8, 8, 1)

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"the test split was read: {name}")

    def __getitem__(self, rows: object) -> object:
        raise AssertionError("the test split was read")

    def __array__(self, *args: object, **more: object) -> object:
        raise AssertionError("the test split was read")


def test_a_real_search_reads_no_test_example_and_shares_soft_targets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    load = data_sets.load

    def without(*args: Any, **more: Any) -> ImageData:
        return replace(load(*args, **more), test=Split(_Unreadable(), np.zeros(1, np.int64)))  # type: ignore[arg-type]

    monkeypatch.setattr(data_sets, "load", without)
    found = tune(RECIPE, tmp_path, trials=3, epochs=1, search=SEARCH)
    assert [t.state for t in found.trials] == ["complete"] * 3
    assert found.trials[0].default and found.trials[0].values["temperature"] == 4.0
    assert len({t.values["temperature"] for t in found.trials}) == 3
    assert len(list((tmp_path / ".cache" / "views").iterdir())) == 1
    assert not any((tmp_path / ".cache" / "work").iterdir())
    best = recipes.load(tmp_path / "recipe.toml")
    assert recipes.sha256(best) == found.recipe_sha256
    assert best.distill.epochs == RECIPE.distill.epochs
    assert Evidence.model_validate_json((tmp_path / "tuning.json").read_bytes()) == found


def test_the_search_finds_the_better_temperature_and_says_how_sure(searched: Callable[..., Evidence]) -> None:
    found = searched(14)
    best = found.trial(found.best)
    assert not best.default and found.gain is not None and found.gain > 0
    assert 5 < float(best.values["temperature"]) < 13
    assert "may be chance" in found.sentence  # 12 validation examples prove little
    assert {t.state for t in found.trials} == {"complete", "pruned"}
    assert not found.importance and "too few" in found.importance_note


def test_what_mattered_is_told_from_enough_trials(searched: Callable[..., Evidence]) -> None:
    found = searched(32)
    assert found.importance["temperature"] > 0.6


def test_the_default_can_be_the_best(searched: Callable[..., Evidence]) -> None:
    found = searched(5, fake(peak=4.0))
    assert found.trial(found.best).default
    assert found.sentence.startswith("The default was best: none of 4 other trials")


def test_a_second_call_goes_on(searched: Callable[..., Evidence]) -> None:
    first = searched(3)
    second = searched(6)
    assert second.trials[:3] == first.trials and len(second.trials) == 6

    def never(*args: object, **more: object) -> None:
        raise AssertionError("trained again")

    assert searched(6, never).trials == second.trials


@pytest.mark.parametrize("told_first", [True, False])
def test_a_kill_loses_nothing_of_the_search(searched: Callable[..., Evidence], told_first: bool) -> None:
    class Killed(BaseException):
        pass

    whole = searched(6, out="whole")
    count = 0

    def dies(*args: Any, after_epoch: Any) -> Any:
        nonlocal count
        count += 1

        def told(logs: Any) -> None:
            killed = count == 3 and len(logs) == 2
            try:
                if told_first or not killed:
                    after_epoch(logs)
            finally:
                if killed:
                    raise Killed

        return fake()(*args, after_epoch=told)

    with pytest.raises(Killed):
        searched(6, dies, out="killed")
    assert [(t.values, t.state) for t in searched(6, out="killed").trials] == [
        (t.values, t.state) for t in whole.trials
    ]


def test_a_diverged_trial_failed_and_the_search_goes_on(searched: Callable[..., Evidence]) -> None:
    def diverges(run: Run, *args: Any, **more: Any) -> Any:
        if run.recipe.distill.temperature != 4.0:
            run.hashes["distill"] = "none"
            raise GateError("the loss became nan in epoch 1, step 3")
        return fake()(run, *args, **more)

    found = searched(3, diverges)
    assert [t.state for t in found.trials] == ["complete", "failed", "failed"]
    assert "became nan" in found.trials[1].note and found.trials[1].accuracy is None


def test_a_search_in_which_all_diverge_says_what_to_lower(searched: Callable[..., Evidence]) -> None:
    def diverges(run: Run, *args: Any, **more: Any) -> Any:
        run.hashes["distill"] = "none"
        raise GateError("the loss became nan")

    with pytest.raises(GateError, match=r"each of them diverged(.|\n)*distill\.lr"):
        searched(2, diverges)


def test_another_search_is_refused_by_name(searched: Callable[..., Evidence], tmp_path: Path) -> None:
    searched(1)
    with pytest.raises(InputError, match=r"the search space differs(.|\n)*--fresh"):
        searched(1, search=("temperature",))
    assert len(searched(1, search=("temperature",), fresh=True).space) == 1
    (tmp_path / "out" / "tuning.sqlite").write_bytes(b"no data base at all, but long enough" * 100)
    with pytest.raises(InputError, match="holds no search"):
        searched(1)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"trials": 0}, "0 trials find nothing"),
        ({"timeout_s": 0.0}, "no time is given"),
        ({"epochs": 0}, "0 epochs train nothing"),
        ({"share": 0.0}, "0 is no share"),
        ({"search": ("tempo",)}, "thing to search named 'tempo'"),
    ],
)
def test_numbers_that_cannot_be_meant(tmp_path: Path, given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        tune(RECIPE, tmp_path / "out", **{"trials": 1, **given})
    assert not (tmp_path / "out").exists()


def test_no_trial_begins_when_the_time_is_up(searched: Callable[..., Evidence]) -> None:
    notes: list[str] = []

    class Notes(QuietReporter):
        def note(self, text: str) -> None:
            notes.append(text)

    assert len(searched(2).trials) == 2
    assert len(searched(50, timeout_s=1e-9, reporter=Notes()).trials) == 2
    assert any("the time is up after 2 trials" in text for text in notes)


def test_an_output_that_is_a_file(searched: Callable[..., Evidence], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="this is a file"):
        searched(1)


def test_a_share_keeps_the_classes_and_says_so_in_the_fingerprint(tmp_path: Path) -> None:
    data = data_sets.load(RECIPE.data, seed=0, cache=tmp_path)
    part = thinned(data, 0.5, 0)
    assert len(part.train) == round(0.5 * len(data.train))
    assert set(part.train.labels) == set(data.train.labels)
    assert part.fingerprint != data.fingerprint and thinned(data, 1.0, 0) is data


def test_the_page_stands_alone(searched: Callable[..., Evidence], tmp_path: Path) -> None:
    found = searched(4)
    text = (tmp_path / "out" / "tuning.html").read_text()
    assert "<script" not in text and "http" not in text.replace("http-equiv", "")
    assert text.count("<svg") == 4 + bool(found.importance)  # history, three values, what mattered
    assert json.loads((tmp_path / "out" / "tuning.json").read_text())["schema_version"] == 1


def test_a_mix_that_no_layer_can_be_found_for_is_left_out(
    searched: Callable[..., Evidence], monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(recipe: Recipe, *_: object) -> None:
        if any(entry.taps for entry in recipe.distill.losses):
            raise InputError("no layer to tap", where="here", fix="none")

    monkeypatch.setattr(tune_page, "check_taps", check)
    found = searched(1, search=("losses",)).space
    assert found[0].range == "plain | hinton | dkd | standardised" and found[0].default == "hinton"
