"""What an emulated 64-bit Arm Linux answers and counts becomes rows, and another byte ends the command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from edgedistill import target
from edgedistill.bench import arm_linux
from edgedistill.cli.app import app
from edgedistill.errors import GateError, InputError, ParityError
from edgedistill.ir import golden
from edgedistill.runners import aarch64, aarch64_system
from edgedistill.runners.aarch64_system import Counted, Task

DEVICE = target.load("raspberry-pi-5")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


class Linux:
    """Answers every task from golden vectors; ``broken``: by how much the ONNX files' first value differs."""

    def __init__(self, outputs: np.ndarray, broken: int = 0) -> None:
        self.outputs, self.broken = outputs, broken
        self.tasks: Sequence[Task] = ()

    def __call__(self, tasks: Sequence[Task], *, cpu: str) -> tuple[Counted, ...]:
        self.tasks = tasks
        return tuple(self.counted(task, cpu) for task in tasks)

    def counted(self, task: Task, cpu: str) -> Counted:
        outputs = self.outputs.copy()
        if task.runtime == "onnxruntime":
            outputs.flat[0] += self.broken
        counts = (1_005, 1_000, 1_000)
        return Counted(
            task.model, f"{task.runtime} 9", cpu, task.threads, counts, 40_000, 50_000, outputs, ""
        )


@pytest.fixture
def linux(built: Path, monkeypatch: pytest.MonkeyPatch) -> Linux:
    made = Linux(golden.load(built / "golden.npz").outputs)
    monkeypatch.setattr(aarch64_system, "run", made)
    monkeypatch.setattr(aarch64_system, "answers", made)
    monkeypatch.setattr(aarch64_system, "missing", lambda: None)
    monkeypatch.setattr(aarch64, "missing", lambda _: None)
    monkeypatch.setattr(aarch64_system, "gather", lambda: None)
    monkeypatch.setattr(aarch64_system, "version", lambda _=False: "qemu 7.2.22")
    return made


def test_the_rows(built: Path, linux: Linux) -> None:
    found = arm_linux.bench(built, DEVICE, threads=2)
    assert [p.artifact for p in found.parity] == ["student.tflite", "student.onnx"]
    assert all(p.how == "emulated" and p.identical == p.values > 0 and not p.broken for p in found.parity)
    rows = {(m.artifact, m.quantity): m for m in found.measurements}
    assert len(rows) == len(found.measurements) == 8 and {m.how for m in found.measurements} == {"emulated"}
    assert {m.quantity for m in found.measurements} == {"instructions", "peak_memory"}, "and no time"
    counted = rows["student.onnx", "instructions"]
    assert (counted.value, counted.p50, counted.count, counted.threads) == (1_000, 1_000, 3, 2)
    assert "emulated cortex-a76, qemu 7.2.22" in counted.runtime and counted.device == DEVICE.title
    assert rows["student-float32.tflite", "peak_memory"].value == 10_000
    by_name = {task.model.name: task for task in linux.tasks}
    assert by_name["student.tflite"].inputs is not None and by_name["student.tflite"].inputs.dtype == np.int8
    real = by_name["student-float32.onnx"].inputs
    assert real is not None and real.dtype == np.float32 and len(real) == 1
    assert all(task.alone for task in linux.tasks)


def test_quick_answers_and_counts_nothing(built: Path, linux: Linux) -> None:
    found = arm_linux.bench(built, DEVICE, cpu="cortex-a53", quick=True)
    assert found.measurements == () and len(found.parity) == 2
    assert "cortex-a53" in found.parity[0].runtime


def test_a_byte_that_differs(built: Path, linux: Linux) -> None:
    linux.broken = 3
    first, second = arm_linux.bench(built, DEVICE).parity
    assert not first.broken and second.broken and second.max_lsb == 3
    assert second.identical == second.values - 1


def test_files_that_cannot_be_had_are_not_run(
    built: Path, linux: Linux, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gather() -> None:
        raise GateError("apt cannot download Debian's packages")

    monkeypatch.setattr(aarch64_system, "gather", gather)
    found = arm_linux.bench(built, DEVICE)
    assert {m.how for m in found.measurements} == {p.how for p in found.parity} == {"not run"}
    assert {m.note for m in found.measurements} == {"apt cannot download Debian's packages"}
    assert not any(p.broken for p in found.parity) and all(m.value is None for m in found.measurements)
    quick = arm_linux.bench(built, DEVICE, quick=True)
    assert quick.measurements == () and {p.how for p in quick.parity} == {"not run"}


def test_an_answer_of_another_shape_names_the_file(built: Path, linux: Linux) -> None:
    linux.outputs = linux.outputs[:, :-1]
    with pytest.raises(ParityError, match=r"answered int8 \[.*\n.*student\.tflite"):
        arm_linux.bench(built, DEVICE)


def test_other_processors_and_other_files_are_refused(built: Path, linux: Linux) -> None:
    with pytest.raises(InputError, match=r"is a 64-bit Arm, .* is x86-64"):
        arm_linux.bench(built, target.load("linux-x86_64"))
    for name in ("student.tflite", "student.onnx", "student-float32.tflite", "student-float32.onnx"):
        (built / name).unlink()
    (built / "student.mlpackage").mkdir()
    with pytest.raises(InputError, match=r"no \.tflite and no \.onnx"):
        arm_linux.bench(built, DEVICE)


def test_doctor_says_whether_the_files_are_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def row() -> tuple[str, str]:
        checks = {c["name"]: c for c in json.loads(run("doctor", "--json").stdout)}
        return checks["emulated Arm Linux"]["state"], checks["emulated Arm Linux"]["detail"]

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(aarch64_system, "reason_not_runnable", lambda: None)
    assert row() == ("note", "its files come with the first bench --on emulator (about 110 MB, apt and pip)")
    monkeypatch.setattr(aarch64_system, "reason_not_runnable", lambda: "there is no qemu-system-aarch64 here")
    assert row() == ("missing", "there is no qemu-system-aarch64 here; only needed for bench --on emulator")


def test_the_command(built: Path, linux: Linux) -> None:
    good = run("bench", str(built), "--on", "emulator", "--target", "raspberry-pi-4", "--json")
    assert good.exit_code == 0, good.stderr
    found = json.loads(good.stdout)
    assert len(found["parity"]) == 2 and all(row["how"] == "emulated" for row in found["parity"])
    assert {row["quantity"] for row in found["measurements"]} == {"instructions", "peak_memory"}
    words = run("bench", str(built), "--on", "qemu-user", "--cpu", "cortex-a72")
    assert words.exit_code == 0 and words.output.count("identical, emulated") == 2
    linux.broken = 1
    bad = run("bench", str(built), "--on", "emulator", "--cpu", "cortex-a76")
    assert bad.exit_code == 1 and "differs from the interpreter" in bad.stderr
    assert "instructions" in bad.stdout
    for arguments, message in (
        (("--on", "emulator", "--cpu", "cortex-a67"), "cortex-a76"),
        (("--cpu", "cortex-a76"), "say --on emulator"),
        (("--on", "emulator", "--target", "linux-x86_64"), "is a 64-bit Arm"),
        (("--on", "qemu-user", "--target", "cortex-m4"), "is a 64-bit Arm"),
        (("--on", "emulator", "--target", "cortex-m4", "--cpu", "cortex-a76"), "chooses among 64-bit Arms"),
    ):
        wrong = run("bench", str(built), *arguments)
        assert wrong.exit_code == 2 and message in wrong.stderr.replace("\n", " "), wrong.stderr
