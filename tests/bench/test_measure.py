"""Real files in real runtimes give figures with their provenance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgedistill.bench.measure import bench_dir, measure
from edgedistill.bench.memory import peak_memory
from edgedistill.data.types import Split
from edgedistill.errors import GateError, InputError

FILES = {"student.tflite", "student.onnx", "student-float32.tflite", "student-float32.onnx"}


def test_measure_covers_every_file(pristine: Path) -> None:
    rng = np.random.default_rng(0)
    test = Split(rng.integers(0, 256, (20, 16, 16, 3)).astype(np.uint8), rng.integers(0, 10, 20))
    found = measure(pristine, test, runs=12, warmup=2, threads=1)
    by = {(m.quantity, m.artifact): m for m in found}
    for name in FILES:
        latency = by["latency", name]
        assert latency.count == 12 and latency.p50 is not None and latency.p99 is not None
        assert 0 < latency.p50 <= latency.p99 and latency.threads == 1
        assert by["model_bytes", name].value == (pristine / name).stat().st_size
        memory = by["peak_memory", name]
        assert memory.value is not None and 0 <= memory.value < 500e6
        accuracy = by["accuracy", name]
        assert accuracy.value is not None and accuracy.value * 20 == pytest.approx(round(accuracy.value * 20))
        assert latency.runtime == accuracy.runtime and latency.device
    assert "student-float32.tflite" in by["latency", "student.tflite"].note
    assert by["accuracy", "student.tflite"].value == by["accuracy", "student.onnx"].value  # the same bits
    energy = [m for m in found if m.quantity == "energy"]
    assert {m.artifact for m in energy} == {"student.tflite", "student.onnx"}


def test_bench_dir_takes_a_file(pristine: Path) -> None:
    found = bench_dir(pristine / "student.onnx", runs=10, warmup=1, threads=1)
    assert {m.artifact for m in found} == {"student.onnx"}
    assert {"latency", "peak_memory", "model_bytes", "energy"} == {m.quantity for m in found}


def test_bench_dir_needs_an_input(built: Path) -> None:
    (built / "golden.npz").unlink()
    with pytest.raises(InputError, match=r"there is no golden\.npz"):
        bench_dir(built, runs=10, warmup=1, threads=1)


def test_memory_grows_with_the_batch(pristine: Path) -> None:
    one = peak_memory(pristine / "student.onnx", "onnxruntime", shape=(1, 16, 16, 3), dtype="int8", runs=2)
    many = peak_memory(
        pristine / "student.onnx", "onnxruntime", shape=(4000, 16, 16, 3), dtype="int8", runs=2
    )
    assert one.value is not None and many.value is not None
    assert many.value - one.value > 4000 * 16 * 16 * 8 / 2  # half of the first activation's bytes at least
    assert "fresh process" in one.note


def test_memory_of_a_broken_file_is_an_error(built: Path) -> None:
    model = built / "student.tflite"
    model.write_bytes(b"nothing")
    with pytest.raises(GateError, match="could not run the model in a process of its own"):
        peak_memory(model, "litert", shape=(1, 16, 16, 3), dtype="int8")
