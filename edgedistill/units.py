"""Reads and writes sizes, times, counts and shares the way people do."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from edgedistill.errors import InputError, UnknownNameError

# SI prefixes step by 1,000; the IEC ones (IEC 80000-13) by 1,024.
BYTES: Mapping[str, float] = MappingProxyType(
    {"": 1, "B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
)
SECONDS: Mapping[str, float] = MappingProxyType(
    {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600}
)
COUNTS: Mapping[str, float] = MappingProxyType({"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9})
JOULES: Mapping[str, float] = MappingProxyType({"uJ": 1e-6, "µJ": 1e-6, "mJ": 1e-3, "J": 1})
HERTZ: Mapping[str, float] = MappingProxyType({"Hz": 1, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9})
SHARES: Mapping[str, float] = MappingProxyType({"": 1, "%": 0.01})

_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?\s*(\S*)\s*", re.ASCII | re.IGNORECASE)


def parse_bytes(text: str, *, where: str | None = None) -> int:
    """'96KiB' -> 98304; '1.5 MB' -> 1500000; rounded up to a whole byte."""
    return math.ceil(round(_parse(text, BYTES, "a size", "96KiB or 1.5 MB", where), 6))


def parse_ms(text: str, *, where: str | None = None) -> float:
    """'2ms' -> 2.0; '1 s' -> 1000.0. A bare number has no unit and is refused."""
    return _tidy(_parse(text, SECONDS, "a time", "2ms or 0.5 s", where) * 1e3)


def parse_s(text: str, *, where: str | None = None) -> float:
    """'45min' -> 2700.0; '1.5 h' -> 5400.0. A bare number has no unit and is refused."""
    return _tidy(_parse(text, SECONDS, "a time", "45min or 2 h", where))


def parse_count(text: str, *, where: str | None = None) -> int:
    """'12.5M' -> 12500000; rounded to a whole number."""
    return round(_parse(text, COUNTS, "a count", "12.5M or 300k", where))


def parse_mj(text: str, *, where: str | None = None) -> float:
    """'3mJ' -> 3.0."""
    return _tidy(_parse(text, JOULES, "an energy", "3mJ or 500uJ", where) * 1e3)


def parse_hz(text: str, *, where: str | None = None) -> int:
    """'1.8 GHz' -> 1800000000."""
    return round(_parse(text, HERTZ, "a frequency", "1.8GHz or 168 MHz", where))


def parse_share(text: str, *, where: str | None = None) -> float:
    """'85%' or '0.85' -> 0.85; above 1 is refused."""
    share = _tidy(_parse(text, SHARES, "a share", "85% or 0.85", where))
    if share > 1:
        fix = "write for example 85% or 0.85"
        raise InputError(f"{text.strip()} is more than the whole", where=where, fix=fix)
    return share


LIMITS: Mapping[str, Callable[..., float]] = MappingProxyType(  # what a budget may limit, and how it is read
    {
        "latency": parse_ms,
        "ram": parse_bytes,
        "flash": parse_bytes,
        "energy": parse_mj,
        "macs": parse_count,
        "weights": parse_bytes,
        "instructions": parse_count,
        "accuracy": parse_share,
    }
)


def parse_limits(budget: Mapping[str, str], *, where: str) -> dict[str, float]:
    """Limits as numbers: latency in ms, memories in bytes, energy in mJ, counts, accuracy 0..1.

    Raises:
        UnknownNameError: there is no such limit.
        InputError: not a number with its unit, or not above 0.
    """
    values = {}
    for name, text in budget.items():
        if name not in LIMITS:
            raise UnknownNameError("limit", name, LIMITS, where=where)
        values[name] = LIMITS[name](text, where=f"{where}.{name}")
        if values[name] <= 0:
            raise InputError(f"the limit is {text}", where=f"{where}.{name}", fix="leave it out: no limit")
    return values


def format_bytes(count: float) -> str:
    """98304 -> '96.0 KiB'; 12 -> '12 B'."""
    if count < 2**10:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB"):
        if round(count / BYTES[unit], 1) < 2**10:
            return f"{count / BYTES[unit]:.1f} {unit}"
    return f"{count / BYTES['GiB']:,.1f} GiB"


def format_ms(ms: float) -> str:
    """0.1234 -> '123 µs'; 2.5 -> '2.50 ms'; 75000 -> '1 min 15 s'."""
    if ms < 0.9995:
        return f"{_three(ms * 1e3)} µs"
    if ms < 999.5:
        return f"{_three(ms)} ms"
    seconds = ms / 1e3
    if seconds < 59.95:
        return f"{_three(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def format_count(count: float) -> str:
    """12500000 -> '12.5 M'; 950 -> '950'."""
    for step, unit in ((1e3, ""), (1e6, " k"), (1e9, " M")):
        if count < 0.9995 * step:
            return f"{count:.0f}" if not unit else f"{_three(count / step * 1e3)}{unit}"
    return f"{_three(count / 1e9)} G"


def format_hz(hertz: float) -> str:
    """1800000000 -> '1.8 GHz'."""
    for unit in ("GHz", "MHz", "kHz"):
        if hertz >= HERTZ[unit]:
            return f"{hertz / HERTZ[unit]:g} {unit}"
    return f"{hertz:g} Hz"


def _parse(text: str, units: Mapping[str, float], kind: str, example: str, where: str | None) -> float:
    match = _NUMBER.fullmatch(text)
    unit = match[3] if match else ""
    if match is None or unit not in units:
        known = ", ".join(name for name in units if name)
        fix = f"write for example {example} (units: {known})"
        raise InputError(f"{text!r} is not {kind}", where=where, fix=fix)
    number = float(match[1] + (match[2] or ""))
    if not math.isfinite(number * units[unit]):
        raise InputError(f"{text!r} is too large", where=where, fix=f"write for example {example}")
    return number * units[unit]


def _tidy(value: float) -> float:
    """Without the last bits that a change of units leaves (2 ms is 2.0, not 2.0000000000000004)."""
    return float(f"{value:.12g}")


def _three(value: float) -> str:
    """Three figures, no trailing point: 2.5 -> '2.50', 123.4 -> '123'."""
    return f"{value:#.3g}".rstrip(".") if value else "0"
