"""Meters, on faked hwmon and powercap files and what vcgencmd pmic_read_adc prints on a Raspberry Pi 5."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistill.bench.on_board import meters
from tests.bench.on_board.test_facts import program

PMIC = """   3V7_WL_SW_A current(0)=0.50000000A
   3V3_SYS_A current(1)=0.10000000A
     1V8_SYS_A current(2)=0.20000000A
  VDD_CORE_A current(7)=2.00000000A
   3V7_WL_SW_V volt(8)=3.60000000V
   3V3_SYS_V volt(9)=3.30000000V
     1V8_SYS_V volt(10)=1.80000000V
  VDD_CORE_V volt(15)=0.75000000V
      EXT5V_V volt(24)=5.15470000V
       BATT_V volt(25)=0.00000000V
"""
"""In the form of the tool's own print, with round numbers."""


def write(folder: Path, **files: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(f"{content}\n")
    return folder


def test_rails_are_summed_and_those_without_amperes_are_not() -> None:
    expected = 0.5 * 3.6 + 0.1 * 3.3 + 0.2 * 1.8 + 2.0 * 0.75
    assert meters.rail_watts(PMIC) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="no rail with volts and amperes"):
        meters.rail_watts("EXT5V_V volt(24)=5.15470000V\nnonsense")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5)), min_size=1, max_size=8))
def test_any_rails(rails: list[tuple[float, float]]) -> None:
    amperes = [f"  R{i}_A current({i})={a:.8f}A\n" for i, (a, _) in enumerate(rails)]
    volts = [f"  R{i}_V volt({i})={v:.8f}V\n" for i, (_, v) in enumerate(rails)]
    expected = sum(a * v for a, v in rails)
    assert meters.rail_watts("".join(amperes + volts)) == pytest.approx(expected, abs=1e-6)


def test_a_sensor_in_hwmon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    hwmon = tmp_path / "sys/class/hwmon"
    write(hwmon / "hwmon0", name="cpu_thermal", temp1_input=40_000)
    write(hwmon / "hwmon1", name="ina226", power1_input=2_345_000)
    meter, reasons = meters.find(tmp_path)
    assert meter is not None and reasons == [] and meter.name == "ina226 (hwmon1)"
    assert meter.watts() == 2.345
    (hwmon / "hwmon1/power1_input").unlink()
    write(hwmon / "hwmon1", in1_input=5_000, curr1_input=600)
    assert meter.watts() == 3.0
    (hwmon / "hwmon1/curr1_input").unlink()
    meter, reasons = meters.find(tmp_path)
    assert meter is None and "ina226 (hwmon1) cannot be read" in reasons[0]


def test_counters_of_the_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    cap = tmp_path / "sys/class/powercap"
    for name, zone in (("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "core"), ("intel-rapl:1", "psys")):
        write(cap / name, name=zone, energy_uj=999_000, max_energy_range_uj=1_000_000)
    clock = iter([0.0, 1.0, 3.0])
    meter, _ = meters.find(tmp_path)
    assert isinstance(meter, meters.Rapl)
    monkeypatch.setattr(meters.time, "monotonic", lambda: next(clock))
    fresh = meters.Rapl([cap / "intel-rapl:0"])
    assert fresh.watts() is None  # there is no look before the first
    write(cap / "intel-rapl:0", energy_uj=999_500)
    assert fresh.watts() == pytest.approx(500e-6)
    write(cap / "intel-rapl:0", energy_uj=499)  # it began again at its range
    assert fresh.watts() == pytest.approx(1_000e-6 / 2)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 2**40), st.data())
def test_a_counter_that_begins_again(most: int, data: st.DataObject) -> None:
    old, grown = data.draw(st.integers(0, most)), data.draw(st.integers(0, most))
    assert meters.counted(old, (old + grown) % (most + 1), most) == grown


def test_the_power_chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin", f"cat <<'END'\n{PMIC}END")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    meter, _ = meters.find(tmp_path)
    assert meter is not None and "not USB" in meter.sees
    assert meter.watts() == pytest.approx(meters.rail_watts(PMIC))
    program(tmp_path / "bin", "echo error=1 error_msg=Command_not_registered")  # a Raspberry Pi 4
    meter, reasons = meters.find(tmp_path)
    assert meter is None and "no rail" in reasons[1]


def test_no_meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    meter, reasons = meters.find(tmp_path)
    assert meter is None
    assert [reason.split()[1] for reason in reasons] == ["INA219,", "power", "RAPL"]
