"""Sizes, times and counts as people write them."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill import units
from edgedistill.errors import InputError


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (units.parse_bytes, "96KiB", 98_304),
        (units.parse_bytes, "1.5 MB", 1_500_000),
        (units.parse_bytes, "  7  ", 7),
        (units.parse_bytes, "0.1kB", 100),
        (units.parse_ms, "2ms", 2.0),
        (units.parse_ms, "0.5 s", 500.0),
        (units.parse_ms, "750us", 0.75),
        (units.parse_s, "45min", 2_700.0),
        (units.parse_s, "1.5 h", 5_400.0),
        (units.parse_count, "12.5M", 12_500_000),
        (units.parse_count, "1e3", 1_000),
        (units.parse_mj, "500uJ", 0.5),
        (units.parse_hz, "1.8 GHz", 1_800_000_000),
        (units.parse_share, "85%", 0.85),
        (units.parse_share, "0.85", 0.85),
    ],
)
def test_parses(parse: Callable[[str], float], text: str, value: float) -> None:
    assert parse(text) == value


@pytest.mark.parametrize("text", ["", "2", "-2ms", "two ms", "2 parsec", "nanms", "2 ms ms", "٢ms", "1e999s"])
def test_refuses_what_is_no_time(text: str) -> None:
    with pytest.raises(InputError, match=r"(?s)is not a time|too large.*2ms or 0\.5 s") as caught:
        units.parse_ms(text, where="budget.latency")
    assert caught.value.where == "budget.latency"


def test_refuses_more_than_the_whole() -> None:
    with pytest.raises(InputError, match=r"101% is more than the whole"):
        units.parse_share("101%")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (units.format_bytes(12), "12 B"),
        (units.format_bytes(98_304), "96.0 KiB"),
        (units.format_bytes(2**20 - 1), "1.0 MiB"),
        (units.format_bytes(3 * 2**30), "3.0 GiB"),
        (units.format_ms(0.1234), "123 µs"),
        (units.format_ms(2.5), "2.50 ms"),
        (units.format_ms(999.9), "1.00 s"),
        (units.format_ms(75_000), "1 min 15 s"),
        (units.format_ms(7_260_000), "2 h 1 min"),
        (units.format_count(950), "950"),
        (units.format_count(999_999), "1.00 M"),
        (units.format_count(12_500_000), "12.5 M"),
        (units.format_hz(2_400_000_000), "2.4 GHz"),
    ],
)
def test_formats(text: str, words: str) -> None:
    assert text == words


@given(st.integers(0, 2**50))
def test_bytes_survive_printing_to_a_tenth_of_the_unit(count: int) -> None:
    back = units.parse_bytes(units.format_bytes(count).replace(",", ""))
    assert abs(back - count) <= max(0.051 * count, 0)


@given(st.text(max_size=12))
def test_any_text_is_a_size_or_an_input_error(text: str) -> None:
    try:
        assert units.parse_bytes(text) >= 0
    except InputError as error:
        assert error.fix and "96KiB" in error.fix


def test_limits_of_a_budget() -> None:
    given = {
        "latency": "2ms",
        "ram": "54KiB",
        "flash": "96KiB",
        "energy": "1mJ",
        "macs": "12M",
        "accuracy": "90%",
    }
    found = units.parse_limits(given, where="budget")
    assert found == {
        "latency": 2.0,
        "ram": 55_296,
        "flash": 98_304,
        "energy": 1.0,
        "macs": 12_000_000,
        "accuracy": 0.9,
    }
    for text in ("0ms", "0.0 s"):
        with pytest.raises(InputError, match=f"the limit is {re.escape(text)}") as caught:
            units.parse_limits({"latency": text}, where="x.toml, budget")
        assert caught.value.where == "x.toml, budget.latency"
    with pytest.raises(InputError, match="no limit named 'latncy'"):
        units.parse_limits({"latncy": "2ms"}, where="budget")
    with pytest.raises(InputError, match="'-2ms' is not a time"):
        units.parse_limits({"latency": "-2ms"}, where="budget")
