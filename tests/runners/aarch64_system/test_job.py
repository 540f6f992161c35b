"""The console of an emulated system is read strictly, whatever else is shown on it."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.errors import GateError
from edgedistill.runners.aarch64_system import job
from edgedistill.runners.aarch64_system.job import Task

TASKS = (Task(Path("a.tflite"), "litert"), Task(Path("b.onnx"), "onnxruntime", np.zeros((2, 3), np.int8)))
RECORDED = """\
[    0.000000] Booting Linux on physical CPU 0x0000000000 [0x414fd0b1]\r
\r
@edgedistill d4a35b5f {"kind": "system", "kernel": "6.1.0-56-cloud-arm64", "loop": 200000}\r
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\r
"""  # of a Cortex-A76, QEMU 7.2.22
OUTPUTS = np.array([[1, -2, 3], [4, 5, -128]], np.int8)


def line(**said: Any) -> str:
    text = json.dumps(said)
    return f"@edgedistill {zlib.crc32(text.encode()):08x} {text}\r\n"


def model(index: int, **changed: Any) -> str:
    said = {
        "runtime": "litert 2.3.0",
        "instructions": [720979, 720979, 720979, 720979, 721626],
        "baseline_bytes": None,
        "peak_bytes": None,
        "dtype": "int8",
        "shape": [2, 3],
        "sha256": "0" * 64,
        "outputs": base64.b64encode(zlib.compress(OUTPUTS.tobytes())).decode(),
    }
    return line(kind="model", model=index, **{**said, **changed})


END = line(kind="end", models=2)
WHOLE = RECORDED + model(0, outputs="") + model(1) + END


def read(console: str, count: bool = True) -> tuple[job.Counted, ...]:
    return job.read(console, TASKS, count=count, cpu="cortex-a76", where="QEMU")


def test_what_was_said() -> None:
    first, second = read(WHOLE)
    assert (first.model, first.least, first.median, first.outputs) == (
        Path("a.tflite"),
        720979,
        720979.0,
        None,
    )
    assert second.outputs is not None
    np.testing.assert_array_equal(second.outputs, OUTPUTS)


@given(st.integers(0, len(WHOLE) - 1), st.text(min_size=1, max_size=3))
def test_garbage_anywhere_gives_the_same_or_an_error(at: int, garbage: str) -> None:
    try:
        found = read(WHOLE[:at] + garbage + WHOLE[at:])
    except GateError:
        return
    assert [one.instructions for one in found] == [one.instructions for one in read(WHOLE)]
    np.testing.assert_array_equal(found[1].outputs, OUTPUTS)


@pytest.mark.parametrize(
    ("console", "words"),
    [
        ("", "ended early, with 0 of 2 models: it said nothing"),
        (RECORDED + model(0), "1 of 2 models"),
        (RECORDED + model(0) + model(1), "2 of 2 models"),
        (RECORDED + "[ 1.2] Kernel panic - not syncing: no init found\r\n[ 1.3] CPU: 0\r\n", "Kernel panic"),
        (RECORDED + "[ 1.2] Out of memory: Killed process 7\r\n" + model(0) + END, "Out of memory"),
        (line(kind="system", kernel="6", loop=199_000 - 1_000), "counted 198,000 instructions for 200,000"),
        (line(kind="failed", model=1, error="RuntimeError: Op X is not known"), "Op X is not known"),
        (line(kind="failed", error="Traceback: no job"), "no job"),
        (WHOLE.replace("720979", "72097"), "is garbled"),
        (model(0, dtype="object"), "is garbled"),
        (model(1, shape=[7]), "is garbled"),
        (model(1, outputs="????"), "is garbled"),
        (model(1, shape=[2, 2]), "is garbled"),
        (model(1, shape=[2**20, 2**20, 2**20]), "is garbled"),
        (model(1, outputs=base64.b64encode(zlib.compress(bytes(2**20))).decode()), "is garbled"),
        (model(1, instructions=[]), "is garbled"),
        (model(1, instructions=[720979] * 4), "is garbled"),
        (model(1, instructions=[720979] * 4 + [-1]), "is garbled"),
        (line(kind="model", model=0), "is garbled"),
        (model(0, outputs="") + model(1) + END, "did not try its counter"),
        (line(kind="system", kernel="6", loop=None) + WHOLE.split("\n", 3)[3], "did not try its counter"),
    ],
)
def test_what_is_missing_or_wrong_is_told(console: str, words: str) -> None:
    with pytest.raises(GateError, match=words):
        read(console)


def test_a_process_of_its_own_says_its_memory() -> None:
    tasks = (Task(Path("a.tflite"), "litert", alone=True),)
    for peak, whole in ((None, False), (50_000_000, True)):
        console = RECORDED + model(0, outputs="", baseline_bytes=40_000_000, peak_bytes=peak) + END
        if whole:
            assert job.read(console, tasks, count=True, cpu="x", where="QEMU")[0].peak_bytes == peak
        else:
            with pytest.raises(GateError, match="garbled"):
                job.read(console, tasks, count=True, cpu="x", where="QEMU")


def test_user_mode_counts_nothing() -> None:
    system = line(kind="system", kernel="6", loop=None)
    answers = system + model(0, outputs="", instructions=[]) + model(1, instructions=[]) + END
    assert [one.instructions for one in read(answers, count=False)] == [(), ()]
    with pytest.raises(GateError, match="garbled"):
        read(WHOLE, count=False)


def test_a_model_of_another_job_is_garbled() -> None:
    with pytest.raises(GateError, match="garbled"):
        read(RECORDED + model(2) + END)
