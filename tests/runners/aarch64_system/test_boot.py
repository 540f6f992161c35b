"""One boot runs models on an emulated 64-bit Arm Linux; what is not here is told."""

from __future__ import annotations

import io
import itertools
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgedistill import target
from edgedistill.errors import GateError, InputError, UnknownNameError
from edgedistill.export import EXPORTERS
from edgedistill.export.metadata import Metadata
from edgedistill.ir import interpret
from edgedistill.runners import aarch64, aarch64_system, programs
from edgedistill.runners.aarch64_system import Task, boot, guest, job, sysroot
from edgedistill.runners.programs import Ended
from tests.graphs import random_input, small_integer_graph

TARGETS = Path(__file__).parents[3] / "targets"
GRAPH = small_integer_graph(3)


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "small.tflite", tmp_path / "small.onnx"
    for path in paths:
        meta = Metadata("small", "", GRAPH.labels, 1 / 64, 0, "0")
        EXPORTERS[path.suffix[1:]].write(GRAPH, meta, path)
    return paths


def tasks(models: tuple[Path, Path], x: np.ndarray) -> list[Task]:
    return [Task(models[0], "litert", x, alone=True), Task(models[1], "onnxruntime", x)]


def test_a_booted_system_counts_and_answers(emulated_arm: None, models: tuple[Path, Path]) -> None:
    x = random_input(GRAPH, 3)
    found = aarch64_system.run([*tasks(models, x), Task(models[0], "litert")], cpu="cortex-a53")
    expected = interpret.run_batched(GRAPH, {GRAPH.inputs[0]: x})[GRAPH.outputs[0]]
    for one in found[:2]:
        np.testing.assert_array_equal(one.outputs, expected)
    for one in found:  # Python's call is some thousand instructions, the network some ten thousand
        assert 3_000 < one.least <= one.median < 1_000_000
        assert max(one.instructions) - one.least < 10_000
    assert found[0].peak_bytes is not None and found[0].baseline_bytes is not None
    assert 10_000_000 < found[0].baseline_bytes < found[0].peak_bytes < 200_000_000
    assert found[1].peak_bytes is None and found[2].outputs is None
    assert abs(found[0].least - found[2].least) < 3_000  # random inputs take the same


def test_user_mode_answers(emulated_arm: None, models: tuple[Path, Path]) -> None:
    if aarch64.missing(aarch64.QEMU):
        pytest.skip(aarch64.missing(aarch64.QEMU) or "")
    x = random_input(GRAPH, 3)
    found = aarch64_system.answers(tasks(models, x), cpu="cortex-a76")
    expected = interpret.run_batched(GRAPH, {GRAPH.inputs[0]: x})[GRAPH.outputs[0]]
    for one in found:
        np.testing.assert_array_equal(one.outputs, expected)
        assert one.instructions == () and one.peak_bytes is None


def test_the_command() -> None:
    words = [str(w) for w in boot.command(Path("k"), Path("i"), cpu="cortex-a72", cores=2, image_bytes=2**28)]
    pairs = dict(itertools.pairwise(words))
    assert words[0] == "qemu-system-aarch64" and pairs["-cpu"] == "cortex-a72" and pairs["-smp"] == "2"
    assert pairs["-nic"] == "none" and pairs["-icount"].startswith("shift=0")
    assert int(pairs["-m"]) * 2**20 // 2 > 2**28, "the kernel unpacks into at most half of the memory"


def test_what_is_packed(tmp_path: Path) -> None:
    folder, image = tmp_path / "system", tmp_path / "image"
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "job.json").write_text("{}")
    folder.mkdir()
    (folder / "base.cpio").write_bytes(b"system")
    (folder / "manifest.json").write_text('{"python": "/usr/bin/python3.11", "packages": []}')
    boot.pack(image, sysroot.Sysroot(folder), tmp_path / "job")
    content = image.read_bytes()
    assert content.startswith(b"system070701") and b"#!/usr/bin/python3.11 -B\n" in content
    assert b"job/job.json\0" in content and content.rstrip(b"\0").endswith(b"TRAILER!!!")


@pytest.mark.parametrize(
    ("device", "cpu"),
    [
        ("raspberry-pi-zero-2w", "cortex-a53"),
        ("raspberry-pi-4", "cortex-a72"),
        ("raspberry-pi-5", "cortex-a76"),
        ("android-arm64", "cortex-a53"),
    ],
)
def test_the_processor_of_a_device(device: str, cpu: str) -> None:
    assert aarch64_system.cpu_of(target.load_file(TARGETS / f"{device}.toml")) == cpu


def test_mistakes_are_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="cortex-a76"):
        aarch64_system.count([], cpu="cortex-a67", runtime="litert")
    with pytest.raises(InputError, match="no such model"):
        aarch64_system.count([tmp_path / "none.tflite"], cpu="cortex-a53", runtime="litert")


def test_qemu_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, models: tuple[Path, Path]) -> None:
    (tmp_path / "base.cpio").touch()
    (tmp_path / "manifest.json").write_text('{"python": "/usr/bin/python3.11", "packages": []}')
    monkeypatch.setattr(programs, "run", lambda *_, **__: Ended(1, "", "unable to find CPU model"))
    with pytest.raises(GateError, match="QEMU ended with 1: unable to find CPU model"):
        boot.run(sysroot.Sysroot(tmp_path), [Task(models[0], "litert")], cpu="cortex-a53")


def alive(process: str) -> bool:
    try:
        return bool(Path(f"/proc/{process}/cmdline").read_bytes())  # empty: it ended, and nobody asked how
    except OSError:
        return False


def test_a_copy_ends_with_the_process_that_began_it(tmp_path: Path, models: tuple[Path, Path]) -> None:
    """QEMU's user mode is ended from outside when it takes too long; the guest runs here as it does there."""
    if sys.platform != "linux":
        pytest.skip("only Linux tells the children of a process")
    job.write(tmp_path, [Task(models[0], "litert")], count=False)
    asked = tmp_path / "job.json"
    asked.write_text(asked.read_text().replace('"warmup": 0', '"warmup": 1000000000'))
    with subprocess.Popen(
        [sys.executable, "-B", guest.__file__, str(tmp_path)], stdout=subprocess.PIPE
    ) as one:
        children = Path(f"/proc/{one.pid}/task/{one.pid}/children")
        copies: list[str] = []
        while not copies and one.poll() is None:
            copies = children.read_text().split()
            time.sleep(0.05)
        (copy,) = copies
        time.sleep(0.5)  # it says at once that it wants to end, too
        one.kill()
    until = time.monotonic() + 20
    while alive(copy) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(copy)


def test_random_values_are_of_the_models_own_type() -> None:
    def values(dtype: str) -> np.ndarray:
        return guest.random_values(np.random.default_rng(0), np.array([1, 4_000]), np.dtype(dtype).type)

    assert (values("int8").min(), values("int8").max()) == (-128, 127)
    assert (values("uint8").min(), values("uint8").max()) == (0, 255)
    assert set(values("int64").ravel()) == {0, 1}
    assert values("float32").dtype == np.float32 and abs(float(values("float32").std()) - 1) < 0.05
    file = io.BytesIO()
    np.save(file, values("int8"))
    assert values("int8").tobytes() in file.getvalue(), "the same seed gives the same values"
