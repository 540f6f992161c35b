"""The commands tune and teach: mistakes are told in words before anything runs."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edgedistill.recipe import Recipe
from tests.cli.conftest import Run


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What a stand-in for the search was called with; it stops as Ctrl-C would."""
    calls: list[dict[str, Any]] = []

    def tune(recipe: Recipe, out: Path, **given: Any) -> None:
        calls.append({"recipe": recipe, "out": out, **given})
        raise KeyboardInterrupt

    module = ModuleType("edgedistill.tune")
    module.tune = tune  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "edgedistill.tune", module)
    return calls


def test_flags_reach_the_search(run: Run, seen: list[dict[str, Any]]) -> None:
    flags = "--trials 7 --timeout 1.5h --epochs 3 --share 25% --search temperature,lr --out there --fresh"
    more = "--target raspberry-pi-5 --teacher timm:resnet18 --data photos --student mobilenet --seed 4"
    result = run("tune", *flags.split(), *more.split(), "--set", "distill.batch=32")
    assert result.exit_code == 130 and "run the same command again to resume" in result.stderr
    (call,) = seen
    assert (call["trials"], call["timeout_s"], call["epochs"], call["share"]) == (7, 5400.0, 3, 0.25)
    assert (call["search"], str(call["out"]), call["fresh"]) == (["temperature", "lr"], "there", True)
    recipe = call["recipe"]
    assert (recipe.targets, recipe.seed, recipe.distill.batch) == (("raspberry-pi-5",), 4, 32)
    assert (recipe.teacher.spec, recipe.data.source) == ("timm:resnet18", "photos")
    assert recipe.student.spec == "mobilenet"


OF_STUDENTS = (
    "distill.assistants=[]",
    "distill.combine=mean",
    "distill.generations=2",
    "adversarial.autoattack=false",
    "adversarial.clean_weight=0.5",
)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("tune --timeout soon", "'soon' is not a time"),
        ("tune --timeout 30", "for example 45min or 2 h"),
        ("tune --share 140%", "more than the whole"),
        ("tune --trials many", "'--trials'"),
        ("tune --target pi", "there is no target named 'pi'"),
        ("teach --set quantise.epochs=3", "teach does not use quantise.epochs"),
        ("teach --set distill.alpha=0.5", "learns from labels alone"),
        *((f"teach --set {key}", f"teach does not use {key.partition('=')[0]}") for key in OF_STUDENTS),
        ("teach --epochs -1", "distill.epochs must be at least 0; it is -1"),
        ("teach --teacher-family resnet65 --set data.limit=100", "did you mean resnet56"),
        ("teach --data synthetic", "synthetic images are made in a build"),
        ("teach --data nowhere", "there is no data source named 'nowhere'"),
    ],
)
def test_a_mistake_is_told(run: Run, seen: list[dict[str, Any]], command: str, words: str) -> None:
    result = run(*command.split())
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert "Traceback" not in result.output
    assert not seen


def test_a_teacher_is_taught_and_its_spec_printed(run: Run) -> None:
    flags = "--epochs 1 --set data.limit=100 --set distill.precision=float32 --out t"
    result = run("teach", *flags.split())
    assert result.exit_code == 0, result.output
    spec = "t/teacher.safetensors@edgedistill.teachers.architectures:digits_teacher"
    assert f"edgedistill build --teacher {spec} --data digits" in result.stdout
