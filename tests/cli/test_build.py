"""The command build: flags to a recipe, a record to a table, every error to words and a code."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from typer.testing import Result

from edgedistill.errors import GateError, InputError
from tests.cli.conftest import Calls, Run


def good(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


def test_flags_reach_the_recipe(run: Run, calls: Calls) -> None:
    flags = (
        "--target raspberry-pi-5,ios-arm64 --teacher timm:resnet18 --data photos --student mobilenet:width=8"
    )
    more = "--epochs 3 --quantise-epochs 1 --temperature 2 --alpha 0.5 --seed 7 --out there --fresh"
    last = (
        "--onnx-form qdq --formats onnx,tflite --trust --budget flash=96KiB,latency=2ms --set distill.lr=0.1"
    )
    good(run("build", *flags.split(), *more.split(), *last.split()))
    recipe, out, fresh = calls[0]
    assert (str(out), fresh) == ("there", True)
    assert recipe.targets == ("raspberry-pi-5", "ios-arm64")
    assert (recipe.teacher.spec, recipe.data.source) == ("timm:resnet18", "photos")
    assert (recipe.student.spec, recipe.seed, recipe.trust) == ("mobilenet:width=8", 7, True)
    assert (recipe.distill.epochs, recipe.distill.temperature, recipe.distill.alpha) == (3, 2.0, 0.5)
    assert (recipe.quantise.epochs, recipe.distill.lr) == (1, 0.1)
    assert (recipe.export.onnx_form, recipe.export.formats) == ("qdq", ("onnx", "tflite"))
    assert recipe.budget == {"flash": "96KiB", "latency": "2ms"}


@pytest.mark.parametrize(
    ("flags", "student"),
    [
        ("", "resnet:width=8,depth=8"),
        ("--budget latency=2ms", "auto"),
        ("--search thorough", "auto"),
        ("--budget accuracy=90%", "resnet:width=8,depth=8"),
        ("--budget latency=2ms --search none", "resnet:width=8,depth=8"),
        ("--budget latency=2ms --student dscnn", "dscnn"),
    ],
)
def test_a_budget_chooses_the_examples_student(run: Run, calls: Calls, flags: str, student: str) -> None:
    run("build", *flags.split())
    assert calls[0][0].student.spec == student


def test_the_recipe_file_is_kept_where_no_flag_speaks(run: Run, calls: Calls) -> None:
    Path("r.toml").write_text("seed = 5\ntrust = true\n[distill]\nepochs = 9\n")
    good(run("build", "--recipe", "r.toml", "--epochs", "2"))
    recipe, out, fresh = calls[0]
    assert (recipe.seed, recipe.trust, recipe.distill.epochs, str(out), fresh) == (5, True, 2, "out", False)


def test_the_table_and_the_next_steps(run: Run, calls: Calls) -> None:
    text = good(run("build")).output
    for words in (
        "android-arm64",
        "99.0 %",
        "95.0 %",
        "94.0 %",
        "identical",
        "report.html",
        "--teacher timm:resnet18",
    ):
        assert words in text
    assert "timm:resnet18" not in good(run("build", "--data", "photos", "--teacher", "t.pt2")).output


def test_json_is_the_record_and_nothing_else(run: Run, calls: Calls) -> None:
    result = good(run("build", "--json"))
    assert json.loads(result.stdout)["android-arm64"]["accuracy"]["student_int8"] == 0.94
    events = [json.loads(line)["event"] for line in result.stderr.splitlines()]
    assert events == ["stage", "progress"]


def test_quiet_says_nothing(run: Run, calls: Calls) -> None:
    assert good(run("build", "--quiet")).output == ""


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--target raspbery-pi-5", "did you mean raspberry-pi-5"),
        ("--temperature 0", "distill.temperature must be greater than 0"),
        ("--formats onxx", "'onnx', 'tflite', 'coreml' or 'c'; it is 'onxx'"),
        ("--formats ,", "no format is asked for"),
        ("--target ,", "no target is named"),
        ("--budget latency", "'latency' is not KEY=VALUE"),
        ("--budget latncy=2ms", "did you mean latency?"),
        ("--set distil.lr=1", "did you mean 'distill.lr'?"),
        ("--set distill.lr", "is not KEY=VALUE"),
        ("--recipe nowhere.toml", "the recipe file does not exist"),
        ("--epochs many", "'--epochs'"),
        ("--epoch 3", "--epoch"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(run: Run, calls: Calls, flags: str, words: str) -> None:
    result = run("build", *flags.split())
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output
    assert not calls


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError("the teacher is odd", where="t.pt", fix="give another"), 2, "do:    give another"),
        (GateError("bits differ"), 1, "error: bits differ"),
        (KeyError("our slip"), 70, "please report it"),
        (KeyboardInterrupt(), 130, "run the same command again to resume"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 2, "the disk is full"),
        (FileNotFoundError(errno.ENOENT, "no such file"), 70, "please report it"),
        (MemoryError(), 2, "not enough memory"),
    ],
)
def test_every_end_has_words_and_a_code(
    run: Run, calls: Calls, error: BaseException, code: int, words: str
) -> None:
    calls.error = error
    result = run("build")
    assert result.exit_code == code
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_a_traceback_only_with_debug(run: Run, calls: Calls) -> None:
    calls.error = KeyError("our slip")
    assert "Traceback" in run("--debug", "build").stderr
    assert "Traceback" not in run("build").stderr


def test_an_error_is_json_when_json_is_asked_for(run: Run, calls: Calls) -> None:
    result = run("build", "--json", "--target", "pi")
    event = json.loads(result.stderr)
    assert (event["event"], event["exit_code"], event["what"]) == (
        "error",
        2,
        "there is no target named 'pi'",
    )
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("budget", "code", "words"),
    [
        ("flash=4KiB,ram=2KiB,macs=1k,latency=1ms,accuracy=94%", 0, "report.html"),
        ("flash=4KB", 1, "flash 4.0 KiB is above 3.9 KiB"),
        ("accuracy=95%", 1, "accuracy 94.0% is below 95.0%"),
        ("latency=100us", 1, "latency 500 µs is above 100 µs"),
        ("energy=1mJ", 0, "no figure of energy was measured"),
    ],
)
def test_a_budget_is_a_gate(run: Run, calls: Calls, budget: str, code: int, words: str) -> None:
    result = run("build", "--budget", budget)
    assert result.exit_code == code
    assert words in result.output
