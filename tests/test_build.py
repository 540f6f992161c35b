"""The whole job on the built-in example, small: one command, the same bits, nothing twice, clear mistakes."""

import json
from pathlib import Path

import numpy as np
import pytest

from edgedistill import recipe as recipes
from edgedistill.bench.parity import layerwise, verify_dir
from edgedistill.build import build
from edgedistill.errors import (
    DataError,
    GateError,
    InputError,
    TeacherError,
    UnknownNameError,
    UnsupportedOpError,
)
from edgedistill.ir import serial
from edgedistill.ir.golden import load as load_golden
from edgedistill.ir.verify import inexact
from edgedistill.recipe import Recipe
from edgedistill.record import BuildRecord
from edgedistill.reporter import QuietReporter
from edgedistill.sizing import compatibility

SMALL = {
    "distill.epochs": 20,
    "distill.ema": 0.95,
    "distill.views": 2,
    "quantise.epochs": 1,
    "student.spec": "resnet:width=4",
    "bench.runs": 10,
    "bench.warmup": 1,
}


def small(**more: object) -> Recipe:
    return recipes.resolve(recipes.example(), {**SMALL, **more})


class Notes(QuietReporter):
    """Keeps what a build says."""

    def __init__(self) -> None:
        super().__init__()
        self.stages: list[str] = []
        self.notes: list[str] = []

    def stage(self, name: str, detail: str = "") -> None:
        self.stages.append(name)

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BuildRecord]:
    out = tmp_path_factory.mktemp("out")
    return out, build(small(), out)["android-arm64"]


def test_the_promised_files_are_there_and_described(built: tuple[Path, BuildRecord]) -> None:
    out, record = built
    folder = out / "android-arm64"
    for name in (
        "student.onnx",
        "student.tflite",
        "student.mlpackage",
        "golden.npz",
        "graph.npz",
        "labels.txt",
    ):
        assert (folder / name).exists(), name
    assert {a.path for a in record.artifacts} >= {"student.onnx", "student.tflite", "student-float32.onnx"}
    assert json.loads((folder / "record.json").read_text())["target"] == "android-arm64"
    assert recipes.load(folder / "recipe.toml") == small()
    assert "<html" in (folder / "report.html").read_text()


def test_it_learned_and_int8_keeps_it(built: tuple[Path, BuildRecord]) -> None:
    accuracy = built[1].accuracy
    assert accuracy.student_int8 is not None and accuracy.student_float is not None
    assert accuracy.student_int8 > 0.8
    assert accuracy.student_int8 > accuracy.student_float - 0.05


def test_every_runtime_gives_the_same_bits(built: tuple[Path, BuildRecord]) -> None:
    out, record = built
    ran = [p for p in record.parity if p.how == "measured"]
    assert len(ran) == 3
    assert all(p.identical == p.values == 269 * 10 for p in ran), ran
    assert record.graph.exact_by_construction
    assert all(p.identical == p.values for p in verify_dir(out / "android-arm64") if p.how == "measured")
    graph = serial.load(out / "android-arm64" / "graph.npz")
    assert inexact(graph) == ()
    assert (
        layerwise(graph, out / "android-arm64", load_golden(out / "android-arm64" / "golden.npz").inputs)
        is None
    )


def test_core_ml_is_not_called_passed(built: tuple[Path, BuildRecord]) -> None:
    row = next(p for p in built[1].parity if "coreml" in p.runtime.lower())
    assert row.how == "not run"


def test_the_same_command_again_does_nothing(built: tuple[Path, BuildRecord]) -> None:
    out, record = built
    notes = Notes()
    again = build(small(), out, reporter=notes)
    assert again["android-arm64"] == record
    assert any("nothing to do" in text for text in notes.notes)
    assert "distil" not in notes.stages


def test_another_target_trains_nothing(
    built: tuple[Path, BuildRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, record = built
    notes = Notes()
    monkeypatch.setattr(compatibility, "guidance", lambda *given: ("they fit badly",))
    more = build(small(targets=["raspberry-pi-5"]), out, reporter=notes)["raspberry-pi-5"]
    assert not {"distil", "quantise", "soft targets"} & set(notes.stages)
    same = [{a.path: a.sha256 for a in r.artifacts}["graph.npz"] for r in (record, more)]
    assert same[0] == same[1]
    assert record.guidance == () and more.guidance == ("they fit badly",)
    assert (
        "they fit badly" in notes.notes
        and "They fit badly." in (out / "raspberry-pi-5/report.html").read_text()
    )


def test_a_microcontroller_gets_c_and_the_same_bits(built: tuple[Path, BuildRecord]) -> None:
    out, _ = built
    record = build(small(targets=["cortex-m4"]), out)["cortex-m4"]
    folder = out / "cortex-m4"
    names = {p.name for p in (folder / "c").iterdir()}
    assert {"edgedistill_student.c", "edgedistill_student.h", "CMakeLists.txt", "examples", "board"} <= names
    assert {p.name for p in (folder / "c" / "board").iterdir()} == {
        "README.md",
        "board_model.h",
        "protocol.c",
        "protocol.h",
    }
    assert {a.format for a in record.artifacts} >= {"c", "onnx", "tflite"}
    rows = {p.runtime.split(",")[0]: p for p in record.parity if p.artifact == "c"}
    assert set(rows) == {"c on this machine", "c on mps2-an386"}
    for row in rows.values():
        assert row.identical == row.values if row.how != "not run" else row.note
    if rows["c on this machine"].how == "measured":
        assert rows["c on this machine"].values == 269 * 10
    counted = {m.quantity: m for m in record.measurements if m.artifact == "c"}
    assert set(counted) >= {"instructions", "stack_bytes", "ram_bytes", "flash_bytes"}
    if rows["c on mps2-an386"].how == "emulated":
        assert rows["c on mps2-an386"].values == 100 * 10
        assert counted["flash_bytes"].value is not None and counted["flash_bytes"].value < 60_000
    text = (folder / "report.html").read_text()
    assert "c on mps2-an386" in text and "instructions" in text
    macro = f"ARENA_BYTES {record.graph.arena_bytes}"
    assert macro in (folder / "c" / "edgedistill_student.h").read_text()


def test_a_board_that_is_too_small_is_told_before_training(tmp_path: Path) -> None:
    board = tmp_path / "tiny.toml"
    facts = (Path(__file__).parents[1] / "targets" / "cortex-m4.toml").read_text()
    board.write_text(facts + '[ram_bytes]\nvalue = 2048\nsource = "its data sheet"\n')
    notes = Notes()
    with pytest.raises(InputError, match=r"(?s)KiB of arena.*2\.0 KiB of RAM \(its data sheet\)") as caught:
        build(small(targets=[str(board)]), tmp_path / "out", reporter=notes)
    assert caught.value.exit_code == 2 and "--student" in (caught.value.fix or "")
    assert notes.stages == ["data"]


def test_an_altered_file_is_noticed(built: tuple[Path, BuildRecord], tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(built[0] / "android-arm64", folder)
    content = bytearray((folder / "student.tflite").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "student.tflite").write_bytes(content)
    with pytest.raises(GateError, match=r"student\.tflite"):
        verify_dir(folder)


def test_the_same_student_without_its_teacher(tmp_path: Path) -> None:
    short = {"distill.epochs": 4}
    record = build(small(**short, **{"bench.baseline": True}), tmp_path / "out")["android-arm64"]
    a = record.accuracy
    assert a.plain_int8 is not None and a.plain_float is not None and a.plain_error is not None
    assert record.stage_hashes["baseline"] not in (record.stage_hashes["quantise"], "")
    alone = small(**short, **{"distill.losses": [{"name": "hard-labels"}]})
    plain = build(alone, tmp_path / "out2")["android-arm64"].accuracy
    assert (plain.student_float, plain.student_int8) == (a.plain_float, a.plain_int8)
    hardened = {"adversarial.method": "rslad", "adversarial.steps": 1, "adversarial.images": 0}
    quick = {"distill.epochs": 1, "quantise.epochs": 0, "bench.baseline": True}
    robust = build(small(**hardened, **quick), tmp_path / "out3")["android-arm64"].accuracy
    assert robust.plain_int8 is not None  # by PGD and labels alone
    with pytest.raises(InputError, match="no training without the teacher"):
        build(Recipe.model_validate({"data": {"source": "synthetic"}, "bench": {"baseline": True}}), tmp_path)


def test_post_training_quantisation_of_the_same_student(
    built: tuple[Path, BuildRecord], tmp_path: Path
) -> None:
    notes = Notes()
    record = build(small(**{"quantise.epochs": 0}), built[0], reporter=notes)["android-arm64"]
    assert "distil" not in notes.stages  # the float student is found
    assert record.accuracy.student_int8 is not None and record.accuracy.student_int8 > 0.7


HINT = {"name": "hint", "weight": 0.1, "taps": ["blocks.0 <- layer1"]}


@pytest.mark.parametrize("cached", [False, True])
def test_a_mix_of_losses_on_layers(tmp_path: Path, cached: bool) -> None:
    """The taps follow the student into int8 training, projectors with them; nothing of them is delivered."""
    notes = Notes()
    changes = {
        "data.limit": 200,
        "distill.epochs": 2,
        "distill.views": 1,
        "distill.batch": 50,
        "distill.losses": [{"name": "hinton"}, HINT, {"name": "rkd-distance"}],
        "distill.cache_features": cached,
        "export.formats": ["onnx"],
    }
    record = build(small(**changes), tmp_path, reporter=notes)["android-arm64"]
    assert ("soft targets" in notes.stages) == cached  # live, the layers' pass gives the logits, too
    assert [(log.stage, bool(np.isfinite(log.loss))) for log in record.epochs] == [
        ("distill", True),
        ("distill", True),
        ("quantise", True),
    ]
    assert all(p.identical == p.values for p in record.parity if p.how == "measured")
    (kept,) = (tmp_path / ".cache" / "distill").glob("*/losses.safetensors")
    assert kept.stat().st_size < 2000  # one 1x1 projector
    again = build(small(**changes, targets=["raspberry-pi-5"]), tmp_path)["raspberry-pi-5"]
    assert again.graph == record.graph


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"distill.losses": [{"name": "hnt"}]}, UnknownNameError, "did you mean hint"),
        (
            {"distill.losses": [{**HINT, "taps": ["blocks.0 <- layer3"]}]},
            InputError,
            r"no layer 'layer3'.*\n.*losses\[0\]\.taps\n.*layer2 \[48,4,4\]",
        ),
        (
            {"distill.losses": [{**HINT, "taps": ["stem <- layer1"]}]},
            InputError,
            "'stem' is folded into another one in int8 training",
        ),
        (
            {"distill.losses": [HINT], "distill.cache_features": True, "distill.cache_limit": "1MB"},
            InputError,
            r"2 view\(s\) of 1375 images at 1 layers take",
        ),
        ({"data.source": "no/such/folder"}, DataError, "no/such/folder"),
        ({"teacher.spec": "no/such/teacher.onnx"}, TeacherError, "teacher.onnx"),
        ({"targets": ["andriod-arm64"]}, UnknownNameError, "did you mean android-arm64"),
        ({"student.spec": "resent"}, UnknownNameError, "did you mean resnet"),
        ({"student.spec": "tests.test_build:odd_student"}, UnsupportedOpError, "cumsum"),
        (
            {"student.spec": "tests.test_build:narrow_student"},
            InputError,
            "answers with 3 values for 10 classes",
        ),
    ],
)
def test_mistakes_end_before_training(
    changes: dict[str, object], error: type[Exception], text: str, tmp_path: Path
) -> None:
    notes = Notes()
    with pytest.raises(error, match=text):
        build(small(**changes), tmp_path, reporter=notes)
    assert "distil" not in notes.stages and "soft targets" not in notes.stages


def odd_student(classes: int, channels: int) -> object:
    import torch
    from torch import nn

    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cumsum(x, 1).mean((2, 3))

    return Odd()


def narrow_student(classes: int, channels: int) -> object:
    from edgedistill.students import STUDENTS

    return STUDENTS["resnet"].make(3, channels, width=4)


@pytest.mark.real_data
def test_a_real_teacher_on_real_images(real_data: Path, tmp_path: Path) -> None:
    """CIFAR-10, ResNet-20 checkpoint, a few images: the way works and every runtime agrees."""
    weights = next((real_data / "cifar10" / "teachers").glob("resnet20-*.th"))
    recipe = recipes.resolve(
        None,
        {
            **SMALL,
            "data.source": str(real_data / "cifar10"),
            "data.limit": 500,
            "teacher.spec": f"{weights}@edgedistill.teachers.architectures:cifar_resnet20",
            "student.spec": "mobilenet:width=8,depth=1",
            "distill.epochs": 1,
            "distill.views": 1,
            "distill.batch": 50,
            "export.formats": ["onnx", "tflite"],
        },
    )
    record = build(recipe, tmp_path)["android-arm64"]
    assert record.accuracy.teacher is not None and record.accuracy.teacher > 0.9
    assert all(p.identical == p.values == 50_000 for p in record.parity), record.parity
    assert np.sum(record.confusion) == 5_000
