"""What a board says of itself, from faked /proc and /sys trees and a faked vcgencmd."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgedistill.bench.on_board import facts


@pytest.fixture
def fake_pi(tmp_path: Path) -> Path:
    """Faked: the files of a Raspberry Pi 5 that are read."""
    files = {
        "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
        "proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n",
        "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "sys/class/thermal/thermal_zone0/temp": "48850\n",
        "sys/class/thermal/thermal_zone1/temp": "",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "2400000\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
        "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "1500000\n",
        "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "ondemand\n",
    }
    for name, content in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path / "root"


def program(folder: Path, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "vcgencmd").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "vcgencmd").chmod(0o755)


def test_a_board(fake_pi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin", 'test "$1" = get_throttled && echo throttled=0x50005')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    system, state = facts.system(fake_pi), facts.state(fake_pi)
    assert system["board"] == "Raspberry Pi 5 Model B Rev 1.0"
    assert system["processor"] == "Cortex-A76"
    assert system["os"] == "Debian GNU/Linux 12 (bookworm)"
    assert state == {
        "temperatures_c": {"zone0 cpu-thermal": 48.85},
        "frequencies_mhz": [2400.0, 1500.0],
        "governors": ["ondemand"],
        "throttled": 0x50005,
    }


def test_a_board_that_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert facts.system(tmp_path)["board"] == "" and facts.system(tmp_path)["processor"] == ""
    assert facts.state(tmp_path) == {
        "temperatures_c": {},
        "frequencies_mhz": [],
        "governors": [],
        "throttled": None,
    }


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0x0, []),
        (
            0x50005,
            ["under-voltage now", "throttled now", "under-voltage has occurred", "throttling has occurred"],
        ),
        (
            0xA0008,
            [
                "soft temperature limit now",
                "Arm frequency capping has occurred",
                "soft temperature limit has occurred",
            ],
        ),
        (0x2, ["Arm frequency capped now"]),
        (0x10, ["bit 4"]),
    ],
)
def test_the_bits_of_throttling(bits: int, words: list[str]) -> None:
    assert facts.throttling_words(bits) == words


@pytest.mark.parametrize("answer", ["", None, "error=1", "throttled=", "throttled=zz"])
def test_what_is_no_answer(answer: str | None) -> None:
    assert facts.throttled(answer) is None


def test_a_program_that_fails_or_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin", "echo throttled=0x1; exit 255")  # as where /dev/vcio may not be opened
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert facts.vcgencmd("get_throttled") is None
    (tmp_path / "bin" / "vcgencmd").write_bytes(b"\x7fELF no program")
    assert facts.vcgencmd("get_throttled") is None


def test_other_processors() -> None:
    assert facts.processor("model name\t: AMD EPYC\n") == "AMD EPYC"
    assert facts.processor("CPU implementer : 0x41\nCPU part : 0xfff\n") == "Arm part 0xfff"
