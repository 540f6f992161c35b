"""Limits of a microcontroller are held against its firmware, never against this machine's runtimes."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedistill.bench.files import GRAPH
from edgedistill.cli import limits
from edgedistill.ir import serial
from edgedistill.recipe import Recipe
from edgedistill.record import BuildRecord, Measurement
from edgedistill.sizing import designed
from tests.cli.conftest import record


def firmware(**values: tuple[float | None, str]) -> BuildRecord:
    made = record("nucleo-l4r5zi", Recipe())
    rows = tuple(
        Measurement.model_validate({"quantity": q, "value": value, "unit": unit, "how": how, "artifact": "c"})
        for q, (value, unit) in values.items()
        for how in ["not run" if value is None else "modelled" if q.startswith("estimated") else "emulated"]
    )
    return made.model_copy(update={"measurements": (*made.measurements, *rows)})


RAN = firmware(
    instructions=(1e6, "instructions"),
    ram_bytes=(3000.0, "bytes"),
    flash_bytes=(20_000.0, "bytes"),
    estimated_latency=(13.75, "ms"),
    estimated_energy=(570.0, "µJ"),
)


@pytest.mark.parametrize(
    ("name", "limit", "missed"),
    [
        ("ram", 3000.0, ""),
        ("ram", 2999.0, "ram 2.9 KiB is above 2.9 KiB"),
        ("flash", 19_999.0, "flash 19.5 KiB is above 19.5 KiB"),
        ("latency", 14.0, ""),
        ("latency", 13.0, "latency 13.8 ms is above 13.0 ms"),
        ("energy", 0.57, ""),
        ("energy", 0.5, "energy 0.57 mJ is above 0.5 mJ"),
    ],
)
def test_firmware_is_what_counts(name: str, limit: float, missed: str) -> None:
    found = limits.check({name: limit}, [RAN])
    assert found.missed == ((f"nucleo-l4r5zi: {missed}",) if missed else ()) and not found.unknown


def test_firmware_that_did_not_run_has_no_flash_and_no_latency() -> None:
    idle = firmware(
        instructions=(None, "instructions"), flash_bytes=(None, "bytes"), ram_bytes=(None, "bytes")
    )
    found = limits.check({"flash": 1.0, "latency": 1e-6, "energy": 1e-6, "ram": 2048.0}, [idle])
    assert not found.missed and len(found.unknown) == 3  # the arena is planned, and known
    assert limits.check({"ram": 2047.0}, [idle]).missed


def test_limits_of_an_accelerator_are_held_against_its_estimate() -> None:
    def made(value: float | None) -> BuildRecord:
        return firmware(npu_cycles=(value and 2e5, "cycles"), estimated_latency=(value, "ms"))

    assert made(0.4).measurements[0].value == 0.5  # this machine's own latency would pass
    assert limits.check({"latency": 0.55}, [made(0.6)]).missed != ()
    assert limits.check({"latency": 0.45}, [made(0.4)]).missed == ()
    assert "no figure of latency" in limits.check({"latency": 0.45}, [made(None)]).unknown[0]


def test_another_devices_time_is_predicted_never_this_machines(tmp_path: Path) -> None:
    """A phone's budget is held against the upper end of its own model, not against a PC's milliseconds."""
    made = record("android-midrange", Recipe())
    (tmp_path / made.target).mkdir()
    graph = designed.networks(1, scale=2)[0]
    (tmp_path / made.target / GRAPH).write_bytes(serial.to_bytes(graph))
    foretold = limits.predictions(tmp_path, [made.target, "nucleo-l4r5zi"])
    latency = next(row for row in foretold[made.target] if row.quantity == "latency")
    assert list(foretold) == [made.target] and 0 < latency.high < 0.5 == made.measurements[0].value
    assert not limits.check({"latency": latency.high}, [made], foretold).missed
    (told,) = limits.check({"latency": latency.high * 0.999}, [made], foretold).missed
    assert told.startswith("android-midrange: predicted latency ")
