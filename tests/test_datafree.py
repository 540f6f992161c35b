"""Data-free builds: no real image is read, only the last test may see some, and a kill loses little."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from edgedistill import data as data_sets
from edgedistill import recipe as recipes
from edgedistill.build import build
from edgedistill.cli.app import app
from edgedistill.errors import BudgetError, DataError, InputError, TeacherError
from edgedistill.recipe import Recipe
from edgedistill.reporter import QuietReporter

SMALL = {
    "data.source": "synthetic",
    "data.resolution": 8,
    "data.augment": ["translate"],
    "synthesis.images": 320,
    "synthesis.batch": 64,
    "synthesis.steps": 2,
    "synthesis.width": 8,
    "synthesis.warmup": 1,
    "synthesis.rival_steps": 2,
    "student.spec": "resnet:width=4",
    "distill.epochs": 1,
    "distill.batch": 32,
    "distill.views": 1,
    "quantise.epochs": 0,
    "export.formats": ["tflite"],
    "export.float32": False,
    "bench.runs": 10,
    "bench.warmup": 1,
}


def small(**more: object) -> Recipe:
    return recipes.resolve(None, {**SMALL, **{k.replace("__", "."): v for k, v in more.items()}})


class Order(QuietReporter):
    """Keeps the stages in their order, and the notes."""

    def __init__(self) -> None:
        super().__init__()
        self.stages: list[str] = []
        self.notes: list[str] = []

    def stage(self, name: str, detail: str = "") -> None:
        self.stages.append(name)

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever reads a data set fails, and there is none at hand."""

    def fail(*arguments: object, **options: object) -> None:
        raise AssertionError("a data set was read")

    monkeypatch.chdir(tmp_path)
    for name in ("load", "load_test", "_read", "folder.read", "parquet.read", "npz.read", "python.read"):
        monkeypatch.setattr(f"edgedistill.data.{name}", fail)
    for name in ("digits.read", "audio.read", "decode.decode", "decode.scan", "decode._opened"):
        monkeypatch.setattr(f"edgedistill.data.{name}", fail)
    monkeypatch.setattr("PIL.Image.open", fail)
    monkeypatch.setattr("sklearn.datasets.load_digits", fail)


@pytest.mark.usefixtures("blind")
def test_no_real_image_is_read(tmp_path: Path) -> None:
    order = Order()
    record = build(small(), tmp_path / "out", reporter=order)["android-arm64"]
    assert order.stages[:3] == ["data", "synthesise", "teacher"]
    assert any("no real image was read" in text for text in record.warnings)
    assert record.accuracy.test_images == 48 and record.accuracy.teacher == 1  # its own answers
    assert record.stage_hashes["synthesis"] and record.stage_seconds["synthesise"] > 0
    page = (tmp_path / "out" / "android-arm64" / "report.html").read_text()
    assert "Synthetic images" in page and page.count("data:image/png") >= 1
    again = Order()
    assert build(small(), tmp_path / "out", reporter=again)["android-arm64"] == record
    assert "synthetic images: found, not made again" in again.notes and "distil" not in again.stages


def test_real_images_are_read_last_and_only_if_named(tmp_path: Path) -> None:
    order = Order()
    record = build(small(data__test="digits"), tmp_path, reporter=order)["android-arm64"]
    assert order.stages.index("test data") > order.stages.index("quantise")
    digits = data_sets.load(recipes.DataSection(), seed=0, cache=tmp_path / "d")
    assert record.accuracy.test_images == len(digits.test)
    assert record.accuracy.teacher is not None and record.accuracy.teacher > 0.97  # of real digits
    assert not any("no real image" in text for text in record.warnings)
    again = Order()
    assert build(small(data__test="digits"), tmp_path, reporter=again)["android-arm64"] == record
    assert "test data" not in again.stages and any("nothing to do" in text for text in again.notes)


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"data__test": "nope/"}, DataError, "no such file or folder"),
        ({"synthesis__classes": 5}, TeacherError, r"expected \[1, 5\]"),
        ({"data__test": "synthetic"}, DataError, "made in a build"),
    ],
)
def test_what_cannot_be_used_is_told_before_images_are_made(
    more: dict[str, object], error: type[Exception], words: str, tmp_path: Path
) -> None:
    order = Order()
    with pytest.raises(error, match=words):
        build(small(**more), tmp_path, reporter=order)
    assert order.stages == ["data"]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in one order: threads decide last bits, and synthesis makes other images of them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_student_that_saw_no_digit_reads_digits(tmp_path: Path) -> None:
    more = {
        "synthesis__images": 10240,
        "synthesis__batch": 128,
        "synthesis__steps": 5,
        "synthesis__width": 16,
        "synthesis__warmup": 12,
        "synthesis__rival": 0.0,
        "student__spec": "resnet:width=8,depth=8",
        "distill__epochs": 10,
        "distill__batch": 64,
        "distill__views": 4,
        "distill__lr": 0.1,
        "distill__alpha": 1.0,
        "data__test": "digits",
    }
    accuracy = build(small(**more), tmp_path)["android-arm64"].accuracy
    assert accuracy.student_int8 is not None and accuracy.student_int8 > 0.9


def test_the_real_test_images_change_no_weight(tmp_path: Path) -> None:
    graphs = []
    for name, more in (("a", {}), ("b", {"data__test": "digits"})):
        build(small(**more), tmp_path / name)
        graphs.append(np.load(tmp_path / name / "android-arm64" / "graph.npz"))
    assert graphs[0].files == graphs[1].files
    for key in graphs[0].files:
        np.testing.assert_array_equal(graphs[0][key], graphs[1][key])


def test_classes_are_matched_by_name(tmp_path: Path) -> None:
    names = [f"digit {i}" for i in range(10)]
    with pytest.raises(DataError, match="classes that the teacher lacks: 0, 1, 2, 3, 4"):
        build(small(data__test="digits", synthesis__labels=names), tmp_path / "a")
    shuffled = [str(i) for i in (1, 0, *range(2, 10))]
    record = build(small(data__test="digits", synthesis__labels=shuffled), tmp_path / "b")["android-arm64"]
    assert record.labels[:2] == ("1", "0")
    assert record.accuracy.teacher is not None and record.accuracy.teacher < 0.85  # 0 and 1 change places


def test_a_label_twice_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="named twice"):
        build(small(synthesis__labels=["a", "a"]), tmp_path)


def plain_net(classes: int = 10) -> nn.Module:
    """A teacher without batch normalisation."""
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))


def test_what_cannot_work_is_told_before_synthesis(tmp_path: Path) -> None:
    order = Order()
    with pytest.raises(TeacherError, match="no BatchNorm2d layer"):
        build(small(teacher__spec="tests.test_datafree:plain_net"), tmp_path / "a", reporter=order)
    with pytest.raises(BudgetError):
        build(small(targets=["cortex-m4"], budget__flash="1KiB"), tmp_path / "b", reporter=order)
    assert "synthesise" not in order.stages


def test_options_in_the_data_flag(tmp_path: Path) -> None:
    command = ["build", "--data", "synthetic:images=100,resolution=8,colour=red", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2 and "synthesis.colour" in result.output
    command[2] = "synthetic:images"
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2 and "is not KEY=VALUE" in result.output


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal")
def test_kill_9_in_the_middle_of_synthesis(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(recipes.to_toml(small(synthesis__images=3200)))
    program = "import edgedistill.synthesis.loop as l, edgedistill.cli as c; l._SAVE_S = 0.0; c.main()"
    command = [sys.executable, "-c", program, "build", "--recipe", "r.toml", "--json", "--out"]
    with subprocess.Popen(
        [*command, "out"], cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as p:
        assert p.stderr is not None
        for line in p.stderr:
            event = json.loads(line)
            if event["event"] == "progress" and event["done"] == 20:
                p.send_signal(signal.SIGKILL)
                break
    assert p.returncode == -signal.SIGKILL
    again = subprocess.run([*command, "out"], cwd=tmp_path, capture_output=True, timeout=300, check=True)
    notes = [json.loads(line).get("text", "") for line in again.stderr.splitlines()]
    assert any(text.startswith("resumes after ") and int(text.split()[2]) >= 19 for text in notes)
    subprocess.run([*command, "whole"], cwd=tmp_path, capture_output=True, timeout=300, check=True)
    one, other = (
        np.load(next((tmp_path / out / ".cache" / "synthesis").glob("*/train.npy")))
        for out in ("out", "whole")
    )
    np.testing.assert_array_equal(one, other)
