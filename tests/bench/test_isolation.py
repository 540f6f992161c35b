"""Facts of a machine from a made-up /sys and /proc, and what is said where there are none."""

from __future__ import annotations

import os
from pathlib import Path

from edgedistill.bench.isolation import Conditions, conditions, words


def test_facts_are_read_where_the_kernel_tells_them(tmp_path: Path) -> None:
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    files = {"proc/loadavg": "0.10 0.20 0.30 1/99 4\n", "sys/class/thermal/thermal_zone0/temp": "48500\n"}
    files["sys/class/thermal/thermal_zone1/temp"] = "unreadable\n"
    for cpu in cpus:
        folder = f"sys/devices/system/cpu/cpu{cpu}"
        files[f"{folder}/cpufreq/scaling_governor"] = "performance\n"
        files[f"{folder}/cpufreq/scaling_cur_freq"] = "1800000\n"
        files[f"{folder}/thermal_throttle/core_throttle_count"] = "3\n"
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = conditions(tmp_path)
    assert (found.governor, found.clock_mhz, found.degrees, found.load) == ("performance", 1800.0, 48.5, 0.1)
    assert found.throttled == 3 * len(cpus) and found.cores == len(cpus)


def test_nothing_told_is_said(tmp_path: Path) -> None:
    found = conditions(tmp_path)
    assert (found.governor, found.clock_mhz, found.degrees, found.load, found.throttled) == (None,) * 5
    assert words(found, found).endswith("cores; clock, temperature, throttling not told")


def test_words_name_what_disturbs() -> None:
    before = Conditions(1, 4, "powersave", 1800.0, 60.0, 1.5, 2)
    after = Conditions(1, 4, "powersave", 1200.0, 81.0, 1.5, 4)
    assert words(before, after) == (
        "1 of 4 cores; load 1.50 before (other work was running); governor powersave; 1200 to 1800 MHz; "
        "81 °C; throttled 2 times"
    )
    assert "; 1800 MHz;" in words(before, before) and words(before, before).endswith("not throttled")
