"""The command size: its table, its JSON, and every bad input with exit code 2 and no traceback."""

import json

import pytest

from edgedistill.sizing import history
from tests.cli.conftest import Run

QUICK = ("size", "--target", "android-arm64", "--data", "digits", "--family", "resnet", "-n", "20")


@pytest.fixture(autouse=True)
def generation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "GENERATION", 10)  # a trial takes tens of milliseconds in Optuna's storage


def test_it_prints_the_choice_and_the_build_command(run: Run) -> None:
    more = ("--set", "data.resolution=8", "--set", "sizing.finalists=2", "--seed", "0")
    result = run(*QUICK, *more, "--budget", "ram=6KiB,weights=8KiB", "--out", "o")
    assert result.exit_code == 0, result.output
    told = result.output.splitlines()[-1]
    assert told.endswith(
        " --data digits --seed 0 --set data.resolution=8 --budget ram=6KiB,weights=8KiB --out o"
    )
    for words in (
        "chosen",
        "what binds is",
        "(--budget)",
        "nothing was trained",
        "edgedistill build --student",
    ):
        assert words in result.output
    again = run(*QUICK, *more, "--budget", "ram=6KiB,weights=8KiB", "--out", "o", "--json")
    found = json.loads(again.stdout)
    assert found["chosen"]["misses"] == [] and found["budget"] == {"ram": 6144.0, "weights": 8192.0}
    assert f"--student {found['chosen']['student']}" in " ".join(result.output.split())
    assert run(*QUICK, *more, "--budget", "ram=6KiB,weights=8KiB", "--out", "o", "--quiet").stdout == ""


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--budget flash=96KiB,flash=64KiB", "two limits of flash contradict each other"),
        ("--budget flash=0", "the limit is 0"),
        ("--budget latency=0ms", "the limit is 0ms"),
        ("--budget ram=-1KiB", "'-1KiB' is not a size"),
        ("--budget ram=1Kilo", "'1Kilo' is not a size"),
        ("--budget latency=2", "'2' is not a time"),
        ("--budget speed=2", "there is no limit named 'speed'"),
        ("--budget accuracy=90%", "nothing limits the student"),
        ("--budget flash=10B", "no student keeps the budget"),
        ("--budget flash=1MB --family resnett", "did you mean resnet"),
        ("--budget flash=1MB --search none", "size only searches"),
        ("--budget flash=1MB --search slow", "sizing.search"),
        ("--budget flash=1MB -n 0", "sizing.trials"),
        ("--budget flash=1MB --set sizing.proxy=magic", "there is no proxy named 'magic'"),
        ("--budget flash=1MB --target nowhere", "there is no target named 'nowhere'"),
    ],
)
def test_bad_input_is_told(run: Run, flags: str, words: str) -> None:
    target = () if "--target" in flags else ("--target", "android-arm64")
    result = run("size", *target, "--data", "digits", *flags.split())
    assert result.exit_code == 2, result.output
    assert words in result.output and "Traceback" not in result.output


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--student resnet --search quick --budget flash=1MB", "the student is named"),
        ("--search sometimes", "sizing.search"),
        ("--budget flash=1MB,flash=2MB", "contradict each other"),
    ],
)
def test_build_tells_the_same(run: Run, flags: str, words: str) -> None:
    result = run("build", *flags.split())
    assert result.exit_code == 2, result.output
    assert words in result.output
