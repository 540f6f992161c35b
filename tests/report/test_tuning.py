"""The tuning page holds every trial, escapes names, and its charts place values where they belong."""

from __future__ import annotations

import re

import pytest

from edgedistill.evidence import Evidence, Searched, Trial
from edgedistill.report import svg
from edgedistill.report.tuning import render, shown


@pytest.fixture
def evidence() -> Evidence:
    def row(name: str, key: str, within: str, default: float | str) -> Searched:
        return Searched(name=name, key=key, summary="what", reason="why", range=within, default=default)

    def trial(number: int, state: str, t: float, accuracy: tuple[float, ...], note: str = "") -> Trial:
        return Trial.model_validate(
            {
                "number": number,
                "state": state,
                "default": number == 1,
                "values": {"temperature": t, "augment": "pad-crop"},
                "by_epoch": accuracy,
                "seconds": 12.0,
                "note": note,
            }
        )

    return Evidence(
        edgedistill_version="0.1.0",
        created_utc="2026-01-02T03:04:05+00:00",
        machine="Made-up CPU",
        versions={"optuna": "5.0.0"},
        recipe={},
        recipe_sha256="ab" * 32,
        seed=0,
        epochs=2,
        share=0.25,
        train_examples=10_000,
        validation_examples=5_000,
        student="resnet:width=16",
        data="<script>photos",
        teacher="resnet18",
        teacher_accuracy=0.95,
        teacher_ece=0.03,
        space=(
            row("temperature", "distill.temperature", "1 to 20, logarithmic", 4.0),
            row("augment", "data.augment", "pad-crop | pad-crop,flip", "pad-crop"),
        ),
        trials=(
            trial(1, "complete", 4.0, (0.6, 0.70)),
            trial(2, "pruned", 1.5, (0.5,), "given up after epoch 1 of 2"),
            trial(3, "complete", 9.0, (0.7, 0.74)),
            trial(4, "failed", 2.0, (), "the loss became nan"),
        ),
        importance={"temperature": 0.9, "augment": 0.1},
        importance_note="from 2 completed trials",
        best=3,
    )


def test_the_sentence_says_how_far_it_can_be_believed(evidence: Evidence) -> None:
    assert "4.0 points above the default (70.0%)" in evidence.sentence
    assert "more than two standard errors (0.9 each)" in evidence.sentence
    few = evidence.model_copy(update={"validation_examples": 500})
    assert "it may be chance" in few.sentence
    lone = evidence.model_copy(update={"trials": evidence.trials[2:]})
    assert lone.sentence == "The default diverged; trial 3 validated best with 74.0%."


def test_every_trial_is_on_the_page(evidence: Evidence) -> None:
    page = render(evidence)
    assert "<script" not in page and "&lt;script&gt;photos" in page
    for words in ("the loss became nan", "given up after epoch 1 of 2", "74.00 %", "resnet:width=16", "25 %"):
        assert words in page
    assert page.count('class="pill') == 4
    assert page.count("<svg") == 3  # history, temperature, importance; an augmentation is no number


def test_without_importance_there_is_no_chart_of_it(evidence: Evidence) -> None:
    page = render(evidence.model_copy(update={"importance": {}, "importance_note": "too few trials"}))
    assert "too few trials" in page and page.count("<svg") == 2


def test_a_logarithmic_axis_puts_the_geometric_mean_in_the_middle() -> None:
    series = [svg.Series("all", "int8", ((1.0, 0.5), (4.0, 0.6), (16.0, 0.7)))]
    chart = svg.dots("t", series, "temperature", log=True)
    x = [float(value) for value in re.findall(r'cx="([\d.]+)"', chart)]
    assert x[1] == pytest.approx((x[0] + x[2]) / 2, abs=0.1)
    assert x[0] == svg.LEFT and x[2] == svg.WIDTH - svg.RIGHT


def test_one_trial_alone_is_drawn_too() -> None:
    chart = svg.dots("t", [svg.Series("all", "int8", ((4.0, 0.5),))], "temperature", log=True)
    assert chart.count("<circle") == 1
    assert "No trial" in svg.dots("t", [], "trial")


def test_values_for_people() -> None:
    assert (shown(0.0123456), shown(""), shown(64), shown("a,b")) == ("0.0123", "none", "64", "a, b")
