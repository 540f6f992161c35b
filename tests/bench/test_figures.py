"""Percentiles, turns, accuracy, energy and machine text from fakes whose answers are known."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgedistill.bench import accuracy, energy, latency
from edgedistill.bench.machine import machine, versions
from edgedistill.bench.measure import slower_than_float
from edgedistill.errors import InputError, UnknownNameError
from edgedistill.record import Measurement
from edgedistill.runners import RUNNERS, RunnerRow, name_for, row_for


class _Clock:
    """Answers 1, 2, 3, ... ms and remembers the turns."""

    version = "1"

    def __init__(self, log: list[tuple[str, int, int]], name: str) -> None:
        self.log, self.name, self.now = log, name, 0

    def run(self, x: NDArray[Any]) -> NDArray[Any]:
        return x

    def run_all(self, x: NDArray[Any]) -> dict[str, NDArray[Any]]:
        return {}

    def latency_ms(self, x: NDArray[Any], runs: int, warmup: int) -> NDArray[np.float64]:
        self.log.append((self.name, runs, warmup))
        self.now += runs
        return np.arange(self.now - runs, self.now, dtype=np.float64) + 1


def test_models_take_turns() -> None:
    log: list[tuple[str, int, int]] = []
    x = np.zeros((1, 2), np.int8)
    models = {name: (_Clock(log, name), x) for name in ("a", "b")}
    samples = latency.interleaved(models, runs=7, warmup=5, rounds=3)
    assert [turn[0] for turn in log] == ["a", "b", "b", "a", "a", "b"]
    assert [turn[2] for turn in log] == [5, 5, 1, 1, 1, 1]
    np.testing.assert_array_equal(samples["a"], np.arange(1, 8))
    np.testing.assert_array_equal(samples["b"], np.arange(1, 8))


def test_percentiles_and_provenance() -> None:
    m = latency.summarise(np.arange(1, 102), artifact="f", runtime="r", device="d", threads=2, warmup=5)
    assert (m.value, m.p50, m.p90, m.p99) == (51.0, 51.0, 91.0, 100.0)
    assert (m.count, m.threads, m.how, m.unit) == (101, 2, "measured", "ms")
    assert "5 warm-up runs" in m.note


def test_top1_and_confusion() -> None:
    images = np.array([0, 1, 2, 2, 1], np.uint8).reshape(5, 1, 1, 1)
    labels = np.array([0, 1, 2, 1, 0])

    def run(x: NDArray[Any]) -> NDArray[Any]:
        assert x.dtype == np.int8
        return np.asarray(np.eye(3)[x.reshape(-1).astype(int) + 128])  # the pixel is the answer

    share, confusion = accuracy.top1(run, images, labels, batch=2)
    assert share == pytest.approx(3 / 5)
    assert confusion == ((1, 1, 0), (0, 1, 1), (0, 0, 1))


def test_every_pixel_keeps_its_value() -> None:
    pixels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(accuracy.to_int8(pixels), np.arange(-128, 128))
    np.testing.assert_array_equal(accuracy.to_real(pixels) * 64, np.arange(-128, 128))


def _latency(artifact: str, value: float, runtime: str = "litert 2") -> Measurement:
    return Measurement(
        quantity="latency", value=value, unit="ms", how="measured", artifact=artifact, runtime=runtime
    )


def test_slower_int8_is_said() -> None:
    slow = [_latency("student.tflite", 2.0), _latency("student-float32.tflite", 1.0)]
    text = slower_than_float(slow)
    assert text is not None and "litert 2 (2 ms against 1 ms)" in text
    assert slower_than_float([_latency("student.tflite", 0.9), slow[1]]) is None
    assert slower_than_float(slow[:1]) is None
    assert slower_than_float([slow[0], _latency("student-float32.onnx", 1.0, "onnxruntime 1")]) is None


def test_energy_without_a_meter_is_not_run(tmp_path: Path) -> None:
    m = energy.energy(lambda: pytest.fail("ran"), runs=3, artifact="f", runtime="r", powercap=tmp_path)
    assert (m.how, m.value) == ("not run", None)
    assert m.note == "not measured here: this machine shows no energy meter (RAPL)"


def test_energy_with_a_meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = tmp_path / "intel-rapl:0" / "energy_uj"
    meter.parent.mkdir()
    meter.write_text("1")
    package, monitor = ModuleType("zeus"), ModuleType("zeus.monitor")
    package.__spec__ = SimpleNamespace()  # type: ignore[assignment]

    class ZeusMonitor:
        def __init__(self, gpu_indices: list[int]) -> None:
            assert gpu_indices == []

        def begin_window(self, name: str) -> None:
            self.name = name

        def end_window(self, name: str) -> SimpleNamespace:
            assert name == self.name
            return SimpleNamespace(cpu_energy={0: 0.5, 1: 0.1})

    monitor.ZeusMonitor = ZeusMonitor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "zeus", package)
    monkeypatch.setitem(sys.modules, "zeus.monitor", monitor)
    calls: list[int] = []
    m = energy.energy(lambda: calls.append(1), runs=4, artifact="f", runtime="r", powercap=tmp_path)
    assert len(calls) == 4
    assert m.value == pytest.approx(1e3 * 0.6 / 4) and m.unit == "mJ"


def test_machine_names_cpu_cores_and_system() -> None:
    cpu, cores, system = machine().rsplit(", ", 2)
    assert cpu and cores.split()[0].isdigit() and system
    assert versions()["numpy"] == np.__version__


def test_runner_table() -> None:
    assert name_for(Path("a/student.tflite")) == "litert" and name_for(Path("x.txt")) is None
    with pytest.raises(UnknownNameError, match="did you mean onnxruntime"):
        row_for("onnxrun")
    with pytest.raises(InputError, match=r"no runner executes \.mlpackage"):
        RUNNERS["coreml"].load()
    with pytest.raises(InputError, match="pip install no-such-library"):
        RunnerRow("x", ".x", ("no_such_library",), "a:B").load()
