"""What phones say of themselves, as far as it is plausible."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistill.runners import android, battery
from edgedistill.runners.android import Facts, State

CPU = "/sys/devices/system/cpu"
ZONE = "/sys/class/thermal/thermal_zone"
SAID = f"""\
{CPU}/cpu0/cpufreq/scaling_cur_freq=1803000
{CPU}/cpu10/cpufreq/scaling_cur_freq=2850000
{CPU}/cpu2/cpufreq/scaling_cur_freq=0
{CPU}/cpu0/cpufreq/scaling_governor=schedutil
{CPU}/cpu10/cpufreq/scaling_governor=schedutil
{ZONE}0/type=battery
{ZONE}0/temp=61000
{ZONE}1/type=cpu-0-0
{ZONE}1/temp=38500
{ZONE}2/type=cpu-1-0
{ZONE}2/temp=-40000
{ZONE}3/type=gpu
{ZONE}3/temp=nothing
/sys/class/power_supply/battery/status=Not charging
/sys/class/power_supply/battery/capacity=83
/sys/class/power_supply/battery/temp=295
"""


@pytest.mark.parametrize("root", ["", "/made/up"])
def test_clocks_heat_and_battery(root: str) -> None:
    found = android.parse_state("".join(root + line for line in SAID.splitlines(keepends=True)), root)
    assert found == State(
        clocks_hz=(1_803_000_000, 2_850_000_000),
        governors=("schedutil",),
        hottest_celsius=38.5,  # the processor's, not the battery's
        battery_celsius=29.5,
        battery="Not charging",
        charge=83,
    )
    assert found.words() == "1.80 to 2.85 GHz (schedutil), 38.5 °C, battery not charging at 83 %"


def test_a_phone_that_lets_nothing_be_read() -> None:
    assert android.parse_state("").words() == "clocks and heat cannot be read"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([*SAID.split(), "=", ""]), st.text(max_size=20))))
def test_no_answer_breaks_the_parser(lines: list[tuple[str, str]]) -> None:
    words = android.parse_state("\n".join(a + b for a, b in lines)).words()
    assert words.isprintable()


@pytest.mark.parametrize(
    ("features", "march"), [(("fp", "asimd"), "armv8-a"), (("fp", "asimddp"), "armv8.2-a+dotprod")]
)
def test_kernels_are_chosen_by_what_the_processor_has(features: tuple[str, ...], march: str) -> None:
    facts = Facts("Google", "Pixel 8", "15", "arm64-v8a", "Tensor G3", "", features)
    assert facts.architecture == march and facts.title == "Google Pixel 8, Tensor G3, Android 15"


def test_samples_that_are_none_are_left_out() -> None:
    text = "idle.0 12.34 -250000 3900000 Discharging\nidle.0 12.44  3900000 Discharging\n$(id)\n"
    found = battery.parse(f"{text}load.0 12.54 -1 2 Not charging")
    assert [(one.phase, one.current, one.status) for one in found] == [
        ("idle.0", -250_000, "Discharging"),
        ("load.0", -1, "Not charging"),
    ]
