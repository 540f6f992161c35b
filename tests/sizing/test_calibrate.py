"""Calibration: what is measured is kept, garbage is refused, and the model comes out of the measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgedistill import target
from edgedistill.errors import GateError, InputError
from edgedistill.ir.graph import Graph
from edgedistill.sizing import calibrate, cost, measure
from edgedistill.sizing.measure import MEASURERS, Measured
from edgedistill.target import Cost, Target

M4 = target.load("cortex-m4")
COUNT = calibrate.LEAST
EMULATED = MEASURERS["emulator", "c"]


def taken(graph: Graph) -> Measured:
    """What a machine would take on which every loop has seven instructions."""
    works = cost.works(graph, M4, "c")
    assert works is not None
    return Measured(tuple(7.0 * sum(work.counts.values()) for work in works), 0.1)


class Machine:
    """Measures five networks at a time, and is switched off after some."""

    def __init__(self, last: int = 10**6, answer: Callable[[Graph], Measured] = taken) -> None:
        self.asked: list[str] = []
        self._last, self._answer = last, answer

    def measure(self, graphs: Sequence[Graph], device: Target) -> Iterator[tuple[Measured, ...]]:
        for start in range(0, len(graphs), 5):
            if len(self.asked) >= self._last:
                raise KeyboardInterrupt
            self.asked += [graph.name for graph in graphs[start : start + 5]]
            yield tuple(self._answer(graph) for graph in graphs[start : start + 5])


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Machine], Cost]:
    def with_machine(machine: Machine) -> Cost:
        row = replace(
            EMULATED,
            measure=machine.measure,
            why_not=lambda _: None,
            software=lambda _: "a compiler",
            machine=lambda _: "a machine",
        )
        monkeypatch.setattr(calibrate, "MEASURERS", {("emulator", "c"): row})
        return calibrate.calibrate(M4, "emulator", "c", tmp_path / "unfinished", here="here", count=COUNT)

    return with_machine


def test_a_machine_that_was_switched_off_goes_on(run: Callable[[Machine], Cost], tmp_path: Path) -> None:
    first = Machine(last=10)
    with pytest.raises(KeyboardInterrupt):
        run(first)
    assert (tmp_path / "unfinished").exists()
    second, whole = Machine(), Machine()
    resumed = run(second)
    assert second.asked == [f"designed{i}" for i in range(10, COUNT)]
    assert not (tmp_path / "unfinished").exists()
    assert run(whole) == resumed and len(whole.asked) == COUNT
    assert resumed.error_p90 < 0.01 and (resumed.machine, resumed.graphs) == ("a machine", COUNT)
    assert resumed.spread == 0.1
    assert resumed.coefficients["conv"]["two channels by sixteen products"] == pytest.approx(7, rel=0.2)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"identity": "another", "measured": [[[1.0], 0.0]]}'])
def test_what_was_kept_of_something_else_is_measured_again(
    run: Callable[[Machine], Cost], tmp_path: Path, text: str
) -> None:
    (tmp_path / "unfinished").write_text(text)
    machine = Machine()
    run(machine)
    assert len(machine.asked) == COUNT


@pytest.mark.parametrize("values", [(), (1.0, 2.0), (-5.0,), (0.0,), (float("nan"),)])
def test_garbage_is_told(run: Callable[[Machine], Cost], values: tuple[float, ...]) -> None:
    with pytest.raises(GateError, match=r"(?s)cannot be what they take.*designed0"):
        run(Machine(answer=lambda _: Measured(values)))


def test_a_device_that_stops_answering_is_told(run: Callable[[Machine], Cost]) -> None:
    class Silent(Machine):
        def measure(self, graphs: Sequence[Graph], device: Target) -> Iterator[tuple[Measured, ...]]:
            yield tuple(map(taken, graphs[:3]))

    with pytest.raises(GateError, match="3 of 30 networks were answered"):
        run(Silent())


def test_what_cannot_be_measured_is_told_before() -> None:
    phone = target.load("ios-arm64")
    with pytest.raises(InputError, match=r"(?s)runs coreml, .* where Xcode reports"):
        calibrate.check(phone, "local", "coreml")
    with pytest.raises(InputError, match=r"(?s)cannot be measured: .* has no emulator"):
        calibrate.check(phone, "emulator", "c")
    with pytest.raises(InputError, match=r"this machine is .* run the command on the device"):
        other = phone.isa.model_copy(update={"value": "z80"})
        calibrate.check(phone.model_copy(update={"isa": other}), "local", "litert")


def test_where_devices_are_measured() -> None:
    pi5 = target.load("raspberry-pi-5")
    assert calibrate.place_of(M4) == "emulator"
    assert calibrate.place_of(target.load("ios-arm64").model_copy(update={"isa": M4.isa})) == "local"
    here = measure.other_machine(pi5) is None
    assert calibrate.place_of(pi5) == ("local" if here else "emulator")
    assert pi5.features is not None
    has = pi5.features.model_copy(update={"value": ("dotprod", "i8mm")})
    with pytest.raises(InputError, match=r"(?s)multiplies matrices.*with --on local on the device"):
        calibrate.check(pi5.model_copy(update={"features": has}), "emulator", "litert")


def test_too_few_networks_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    row = replace(EMULATED, why_not=lambda _: None)
    monkeypatch.setattr(calibrate, "MEASURERS", {("emulator", "c"): row})
    with pytest.raises(InputError, match=r"(?s)3 networks are too few.*give 30 at least"):
        calibrate.check(M4, "emulator", "c", 3)


def test_medians_of_turns_and_their_spread() -> None:
    calls: list[tuple[str, int]] = []

    def timed(name: str, ms: float) -> measure.Timed:
        def times(runs: int, warmup: int) -> NDArray[np.float64]:
            calls.append((name, runs))
            return np.linspace(0.9 * ms, 1.1 * ms, runs)

        return times

    fast, slow = measure.in_turns([timed("fast", 0.5), timed("slow", 20.0)], rounds=3, sample_ms=40)
    assert fast.values == pytest.approx((0.5,)) and slow.values == pytest.approx((20.0,))
    assert fast.spread == pytest.approx(0.16, abs=0.01)
    assert calls[2:] == 3 * [("fast", 80), ("slow", 5)]
    with pytest.raises(GateError, match=r"a latency of 0\.0 ms"):
        measure.in_turns([timed("none", 0.0)], rounds=1, sample_ms=1)


@pytest.mark.parametrize("runtime", ["litert", "onnxruntime", "c"])
def test_each_runtime_is_timed_here(runtime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgedistill.sizing import designed

    row = MEASURERS["local", runtime]  # type: ignore[index]
    here = target.load("linux-x86_64")
    reason = row.why_not(here)
    if reason is not None:
        pytest.skip(reason)
    monkeypatch.setattr(measure, "ROUNDS", 1)
    monkeypatch.setattr(measure, "SAMPLE_MS", 1.0)
    (found,) = row.measure(designed.networks(2), here)
    assert len(found) == 2 and all(0 < one.values[0] < 1000 for one in found)
    assert row.quantity == "latency" and row.software(here)
