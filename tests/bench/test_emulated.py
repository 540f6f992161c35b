"""Rows of firmware: counted, estimated or not run, and never an estimate without its basis."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgedistill import target
from edgedistill.bench import emulated, instruction_mix
from edgedistill.bench.files import split
from edgedistill.bench.measure import bench_dir
from edgedistill.bench.parity import parity, verify_dir
from edgedistill.errors import InputError
from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.ir import golden, plan
from edgedistill.ir.graph import Graph
from edgedistill.record import Measurement, PlannedFlash
from edgedistill.runners import aarch64, c_here, cortex_m
from edgedistill.runners.cortex_m import Emulated, Sections
from tests.graphs import random_input

L4R5 = target.load("nucleo-l4r5zi")
ARM_REASON = aarch64.reason_not_runnable()
needs_compiler = pytest.mark.skipif(c_here.compiler() is None, reason="needs a C compiler on the PATH")


@pytest.fixture
def folder(graph: Graph, built: Path) -> Path:
    c.write(graph, Metadata("small", "a test network", graph.labels, 1 / 64, 0, "0"), built / "c")
    return built


def stand_in(monkeypatch: pytest.MonkeyPatch, outputs: np.ndarray) -> None:
    """An emulator that answers ``outputs`` in a million instructions."""
    found = Emulated(
        outputs=outputs.reshape(len(outputs), -1),
        instructions=(*[1_000_000] * (len(outputs) - 1), 999_000),
        repeat_spread=0,
        stack_bytes=500,
        arena_bytes=2048,
        model=Sections(4000, 10_000, 4, 8),
        linked_bytes=14_100,
        machine="mps2-an386",
        emulator="qemu 7.2.17",
        compiler="gcc 12.2.1",
        flags="-O2",
    )
    monkeypatch.setattr(cortex_m, "reason_not_runnable", lambda device, cc: None)
    monkeypatch.setattr(cortex_m, "run", lambda *given, **more: found)
    monkeypatch.setattr(instruction_mix, "count", lambda *given: "a stand-in has no plugin")


def by_quantity(rows: tuple[Measurement, ...]) -> dict[str, Measurement]:
    return {m.quantity: m for m in rows}


def test_the_inputs_are_filled_up(graph: Graph) -> None:
    real = random_input(graph, 3)
    x, expected = emulated.with_random(graph, real)
    assert len(x) == len(expected) == 100
    np.testing.assert_array_equal(x[:3], real)
    np.testing.assert_array_equal(expected[:3], golden.golden(graph, real).outputs)
    assert len(emulated.with_random(graph, x, 50)[0]) == 100


def test_counted_and_estimated(graph: Graph, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, expected = emulated.with_random(graph, random_input(graph, 3))
    stand_in(monkeypatch, expected)
    planned = PlannedFlash(
        code_bytes=4_000, weight_bytes=9_000, table_bytes=1_000, device=L4R5.title, compiler="gcc"
    )
    found = emulated.on_device(folder, L4R5, x, expected, graph=graph, planned=planned)
    row = found.parity
    assert (row.runtime, row.how, row.artifact) == ("c on mps2-an386, qemu 7.2.17", "emulated", "c")
    assert row.identical == row.values == expected.size and "100 inputs" in row.note
    rows = by_quantity(found.measurements)
    assert {m.how for n, m in rows.items() if not n.startswith("estimated")} == {"emulated"}
    assert rows["instructions"].value == 1_000_000 and "999,000 to 1,000,000" in rows["instructions"].note
    assert rows["ram_bytes"].value == 2048 + 500 + 4 + 8 and rows["flash_bytes"].value == 14_100
    assert "linked, planned 14,000 (+0.71%); compiled: code 4,000" in rows["flash_bytes"].note
    time, energy = rows["estimated_latency"], rows["estimated_energy"]
    assert time.how == energy.how == "modelled"
    assert time.value == pytest.approx((12.5 + 15) / 2) and "an estimate, 12.5 to 15 ms" in time.note
    assert "1.5 to 1.8 cycles per instruction at 120 MHz (MLPerf Tiny" in time.note
    assert energy.value == pytest.approx((1.5 * 322 + 1.8 * 365) / 2) and energy.unit == "µJ"
    assert "322 to 365 pJ per cycle" in energy.note


def test_no_estimate_without_a_measured_basis(
    graph: Graph, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, expected = emulated.with_random(graph, random_input(graph, 3))
    stand_in(monkeypatch, expected)
    nordic = emulated.on_device(folder, target.load("nrf52840-dk"), x, expected).measurements
    time = by_quantity(nordic)["estimated_latency"]
    assert time.how == "not run" and time.value is None and "cycles_per_instruction" in time.note
    core = emulated.on_device(folder, target.load("cortex-m4"), x, expected).measurements
    assert set(by_quantity(core)) == set(emulated.COUNTED)  # a core has no clock


def test_a_wrong_byte_is_counted(graph: Graph, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, expected = emulated.with_random(graph, random_input(graph, 3))
    wrong = expected.copy()
    wrong.reshape(-1)[5] ^= 1
    stand_in(monkeypatch, wrong)
    row = emulated.on_device(folder, L4R5, x, expected).parity
    assert (row.values - row.identical, row.max_lsb) == (1, 1)


def test_not_run_says_why(graph: Graph, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, expected = emulated.with_random(graph, random_input(graph, 3))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = emulated.on_device(folder, L4R5, x, expected)
    assert found.parity.how == "not run" and "gcc-arm-none-eabi" in found.parity.note
    assert {m.quantity for m in found.measurements} == set(emulated.COUNTED)
    assert all(m.how == "not run" and m.value is None and m.note for m in found.measurements)
    here = emulated.on_this_machine(folder, x, expected)
    assert here.how == "not run" and "no C compiler" in here.note


def test_a_network_too_large_to_emulate(graph: Graph, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, expected = emulated.with_random(graph, random_input(graph, 3))
    stand_in(monkeypatch, expected)
    monkeypatch.setattr(emulated, "MOST_MACS", sum(plan.macs(graph).values()) - 1)
    assert "too many to emulate" in emulated.on_device(folder, L4R5, x, expected, graph=graph).parity.note


@needs_compiler
def test_this_machine_runs_it(graph: Graph, folder: Path) -> None:
    (row,) = (r for r in parity(graph, folder, random_input(graph, 20)) if r.artifact == "c")
    assert (row.runtime, row.how, row.family) == ("c on this machine", "measured", "F")
    assert row.identical == row.values == 200


@needs_compiler
def test_verify_takes_the_folder_and_the_c_alone(
    graph: Graph, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cortex_m, "reason_not_runnable", lambda device, cc: f"no {cc}")
    assert split(folder / "c") == (folder, (folder / "c",))
    monkeypatch.setattr(aarch64, "reason_not_runnable", lambda: "no emulator")
    here, phone = verify_dir(folder / "c", trust=True)  # the record names a phone
    assert here.identical == here.values == 1000
    assert (phone.runtime, phone.how, phone.note) == ("c on armv8-a", "not run", "no emulator")
    here, there = verify_dir(folder / "c", device=L4R5, cc="my-gcc", trust=True)
    assert (there.how, there.note) == ("not run", "no my-gcc")
    assert {"c", "student.tflite"} <= {row.artifact for row in verify_dir(folder)}
    assert "c" not in {m.artifact for m in bench_dir(folder, runs=10, warmup=1, threads=1)}


@pytest.mark.skipif(ARM_REASON is not None, reason=ARM_REASON or "")
def test_64_bit_arm_runs_it(graph: Graph, folder: Path) -> None:
    x, expected = emulated.with_random(graph, random_input(graph, 3))
    row = emulated.on_64_bit_arm(folder, target.load("raspberry-pi-5"), x, expected, graph)
    assert (row.runtime, row.how, row.family) == ("c on armv8.2-a+dotprod", "emulated", "F")
    assert row.identical == row.values == 1000


def test_bench_of_a_folder(graph: Graph, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, expected = emulated.with_random(graph, golden.load(folder / "golden.npz").inputs)
    stand_in(monkeypatch, expected)
    found = emulated.bench_c(folder, L4R5, trust=True)
    assert found.parity.identical == found.parity.values == 1000
    shutil.rmtree(folder / "c")
    with pytest.raises(InputError, match=r"(?s)no folder c/.*--target nucleo-l4r5zi"):
        emulated.bench_c(folder, L4R5, trust=True)


def test_the_record_names_the_device(folder: Path, tmp_path: Path) -> None:
    found = emulated.device_of(folder)
    assert found is not None and found.name == "android-arm64"
    assert emulated.device_of(tmp_path / "nowhere") is None


def test_foreign_c_is_neither_compiled_nor_run_without_trust(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        pytest.fail("it was run")

    monkeypatch.setattr(emulated, "on_this_machine", never)
    monkeypatch.setattr(emulated, "on_device", never)
    (row,) = (row for row in verify_dir(folder, device=L4R5) if row.artifact == "c")
    assert row.how == "not run" and "--trust" in row.note
    for ask in (lambda: verify_dir(folder / "c"), lambda: emulated.bench_c(folder, L4R5)):
        with pytest.raises(InputError, match=r"(?s)compile and run them.*--trust"):
            ask()


def test_family_d_needs_its_own_golden_vectors(graph: Graph, built: Path) -> None:
    meta = Metadata("small", "a test network", graph.labels, 1 / 64, 0, "0")
    c.write(graph, meta, built / "c", "D")
    with pytest.raises(InputError, match=r"(?s)these are not golden vectors.*c/golden\.npz"):
        emulated.bench_c(built, L4R5, trust=True)
    own = golden.golden(graph, random_input(graph, 2), "D")
    golden.save(own, built / "c" / "golden.npz")
    np.testing.assert_array_equal(emulated.c_vectors(built).outputs, own.outputs)
