"""What is said of a board's heat, clocks and throttling."""

from __future__ import annotations

import pytest

from edgedistill.bench import ssh_rows
from edgedistill.bench.ssh_job import State, System


def state(throttled: int | None, temperature: float = 50.0, governor: str = "performance") -> State:
    return State(
        kind="state",
        temperatures_c={"zone0 cpu-thermal": temperature},
        frequencies_mhz=[1_500.0, 2_400.0],
        governors=[governor],
        throttled=throttled,
    )


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (0x0, 0x0, []),
        (None, None, []),
        (0x50000, 0x50000, ["held back before it was measured: under-voltage has occurred, throttling has"]),
        (0x0, 0x40000, ["held back while it was measured: throttling has occurred;"]),
        (0x10000, 0x50004, ["while it was measured: throttled now, throttling has occurred;"]),
    ],
)
def test_a_board_that_was_held_back(before: int | None, after: int | None, words: list[str]) -> None:
    found = list(ssh_rows.warnings(state(before), state(after)))
    assert len(found) == len(words)
    assert all(part in said for part, said in zip(words, found, strict=True))


def test_a_clock_that_may_fall() -> None:
    (said,) = ssh_rows.warnings(state(0), state(0, governor="ondemand"))
    assert "the governor ondemand may lower the clock" in said


def test_words() -> None:
    assert ssh_rows.heat_words(state(0, 48.25), state(0, 61.0)) == (
        "zone0 cpu-thermal 48.2 to 61.0 °C; 2,400 to 2,400 MHz; governor performance; "
        "never throttled since it started"
    )
    assert "throttling not told" in ssh_rows.heat_words(state(None), state(None))
    system = System(
        kind="system",
        board="Raspberry Pi 5 Model B Rev 1.0",
        processor="Cortex-A76",
        cores=4,
        machine="aarch64",
        kernel="Linux 6.6.31",
        os="",
        python="3.11.2",
        executable="/usr/bin/python3",
    )
    words = "Raspberry Pi 5 Model B Rev 1.0 (Cortex-A76, 4 cores, Linux 6.6.31)"
    assert ssh_rows.device_words(system) == words
