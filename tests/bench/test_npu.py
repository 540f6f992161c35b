"""An accelerator's figures are modelled, each with the words that it needs, or not run with the reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgedistill import target
from edgedistill.bench import npu
from edgedistill.errors import GateError
from edgedistill.runners import vela
from edgedistill.runners.vela import Estimate, Fallback
from edgedistill.target import Target
from tests.graphs import small_integer_graph

U55 = target.load("corstone-300-ethos-u55-128")
FOUND = Estimate(
    version="vela 5.2.0",
    accelerator="ethos-u55-128",
    system_config="Ethos_U55_High_End_Embedded",
    memory_mode="Shared_Sram",
    clock_hz=5e8,
    cycles=200_000,
    sram_bytes=50_000,
    dram_bytes=0,
    flash_bytes=70_000,
    macs=12_000_000,
    on_npu=20,
    on_cpu=(),
    tflite=b"x" * 80_000,
)


def test_rows_are_modelled_and_say_what_they_leave_out() -> None:
    rows = {row.quantity: row for row in npu.rows(FOUND, U55)}
    assert all(
        r.how == "modelled" and r.runtime == "vela 5.2.0" and r.device == U55.title for r in rows.values()
    )
    assert rows["npu_cycles"].value == 200_000 and rows["estimated_latency"].value == pytest.approx(0.4)
    assert rows["ram_bytes"].value == 50_000 and rows["flash_bytes"].value == 80_000
    assert "70,000 bytes of it" in rows["flash_bytes"].note
    assert rows["cpu_operators"].value == 0 and "of 20: all run" in rows["cpu_operators"].note
    left = replace(FOUND, on_cpu=(Fallback("GATHER", "y", "not supported"),), dram_bytes=7_000)
    rows = {row.quantity: row for row in npu.rows(left, U55)}
    assert (
        rows["cpu_operators"].value == 1 and "of 21: GATHER 'y' (not supported)" in rows["cpu_operators"].note
    )
    assert "without 1 operators that the processor runs" in rows["estimated_latency"].note
    assert rows["ram_bytes"].value == 57_000 and "7,000 bytes of DRAM" in rows["ram_bytes"].note


def test_the_file_for_the_device_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vela, "reason_not_runnable", lambda: None)
    monkeypatch.setattr(vela, "estimate", lambda data, device: FOUND)
    npu.on_npu(small_integer_graph(3), U55)
    assert list(tmp_path.iterdir()) == []
    npu.on_npu(small_integer_graph(3), U55, keep=tmp_path)
    assert (tmp_path / "student_vela.tflite").read_bytes() == FOUND.tflite


@pytest.mark.parametrize("installed", [True, False])
def test_what_did_not_run_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
    def refuse(data: bytes, device: Target) -> Estimate:
        raise GateError("Vela does not take this network: no reason", where="/tmp/x", fix="report it")

    monkeypatch.setattr(
        vela, "reason_not_runnable", lambda: None if installed else "Vela is not installed here"
    )
    monkeypatch.setattr(vela, "estimate", refuse)
    rows = npu.on_npu(small_integer_graph(3), U55, keep=tmp_path)
    assert [row.quantity for row in rows] == list(npu.UNITS)
    reason = "does not take this network" if installed else "not installed here"
    assert all(row.how == "not run" and row.value is None and reason in row.note for row in rows)
    assert not any("\n" in row.note or "/tmp" in row.note for row in rows), "the same words in every record"
    assert list(tmp_path.iterdir()) == []
