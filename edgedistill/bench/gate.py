"""Fails a build whose figures became worse than they may, and only where the noise cannot be the cause."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from edgedistill import units
from edgedistill.bench import history
from edgedistill.errors import InputError, UnknownNameError
from edgedistill.record import Measurement

# by unit of the measurement: reads a limit of the user's in that unit
_UNITS: Mapping[str, Callable[[str], float]] = MappingProxyType(
    {
        "ms": units.parse_ms,
        "mJ": units.parse_mj,
        "µJ": lambda text: 1e3 * units.parse_mj(text),
        "bytes": units.parse_bytes,
        "instructions": units.parse_count,
        "cycles": units.parse_count,
    }
)
QUANTITIES: Mapping[str, str] = MappingProxyType(  # and an example of a limit, which fits its unit
    {
        "latency": "2ms",
        "energy": "3mJ",
        "peak_memory": "10MB",
        "model_bytes": "200kB",
        "instructions": "12M",
        "stack_bytes": "2KiB",
        "ram_bytes": "64KiB",
        "flash_bytes": "128KiB",
        "npu_cycles": "1M",
        "estimated_latency": "2ms",
        "estimated_energy": "3mJ",
    }
)
_FORM = re.compile(r"\s*([a-z_0-9]+)\s*>\s*(\+?)\s*(.+?)\s*", re.ASCII)
_SHARE = re.compile(r"\d{1,6}(\.\d{1,6})?%", re.ASCII)


@dataclass(frozen=True)
class Limit:
    """``latency>+5%`` (``more``: 0.05, of the baseline) or ``latency>2ms`` (``text``)."""

    written: str
    quantity: str
    more: float | None
    text: str


@dataclass(frozen=True)
class Verdict:
    """Of one figure under one limit. None: there was nothing to hold it against."""

    limit: Limit
    measurement: Measurement
    failed: bool | None
    words: str


def parse(text: str) -> Limit:
    """One ``--fail-if``.

    Raises:
        InputError: it is no limit; UnknownNameError: of nothing that is measured.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise InputError(f"{text!r} is no limit", where="--fail-if", fix="write latency>+5% or latency>2ms")
    quantity, plus, rest = found.groups()
    if quantity not in QUANTITIES:
        raise UnknownNameError("quantity", quantity, QUANTITIES)
    if not plus:
        if rest.endswith("%"):
            raise InputError(
                f"{text!r} is a share of nothing", where="--fail-if", fix=f"write {quantity}>+{rest}"
            )
        return Limit(text, quantity, None, rest)
    if not _SHARE.fullmatch(rest):
        raise InputError(
            f"{text!r} names no share", where="--fail-if", fix=f"write {quantity}>+5%, or no plus"
        )
    return Limit(text, quantity, float(rest[:-1]) / 100, rest)


def judge(
    limits: Sequence[Limit], found: Sequence[Measurement], earlier: Sequence[history.Run]
) -> tuple[Verdict, ...]:
    """Holds figures against limits.

    A limit is broken where the whole 95 % interval lies beyond it: the low end of a figure is above an
    absolute limit, or above the high end of the baseline by more than the share. A figure without an
    interval (bytes, instructions) counts as it is.

    Args:
        limits: of ``parse``.
        found: today's.
        earlier: of ``history.runs``; the newest comparable figure of a run that passed is the baseline.

    Raises:
        InputError: nothing was measured that a limit speaks of, or a limit has another unit.
    """
    out = []
    for limit in limits:
        of = [m for m in found if m.quantity == limit.quantity and m.value is not None]
        if not of:
            told = next((m.note for m in found if m.quantity == limit.quantity), "")
            raise InputError(
                f"no {limit.quantity} was measured{f' ({told})' if told else ''}",
                where=f"--fail-if {limit.written}",
                fix="a limit that is never checked is none: take it away, or measure where it can be",
            )
        out += [_absolute(limit, m) if limit.more is None else _relative(limit, m, earlier) for m in of]
    return tuple(out)


def _absolute(limit: Limit, m: Measurement) -> Verdict:
    read = _UNITS.get(m.unit)
    if read is None:
        raise InputError(
            f"{m.quantity} in {m.unit} has no absolute limits", where=f"--fail-if {limit.written}"
        )
    try:
        allowed = read(limit.text)
    except InputError as error:
        fix = f"such as {limit.quantity}>{QUANTITIES[limit.quantity]}"
        raise InputError(error.what, where=f"--fail-if {limit.written}", fix=fix) from error
    low, _ = _ends(m)
    says = f"{_figure(m)} against a limit of {limit.text}"
    return Verdict(limit, m, low > allowed, f"{says}{_doubt(m, allowed, low)}")


def _relative(limit: Limit, m: Measurement, earlier: Sequence[history.Run]) -> Verdict:
    assert limit.more is not None and m.value is not None
    base = history.baseline(m, earlier)
    if base is None:
        return Verdict(limit, m, None, f"{_figure(m)}: there is no comparable figure in the history")
    run, old = base
    assert old.value is not None
    low, _ = _ends(m)
    allowed = _ends(old)[1] * (1 + limit.more)
    change = f"{m.value / old.value - 1:+.1%}" if old.value else "from 0"
    says = f"{_figure(m)} against {_figure(old)} of run {run.number}: {change}"
    return Verdict(limit, m, low > allowed, f"{says}{_doubt(m, old.value * (1 + limit.more), low, allowed)}")


def _doubt(m: Measurement, limit: float, low: float, allowed: float | None = None) -> str:
    """Why a figure above its limit passes all the same."""
    assert m.value is not None
    beyond = limit if allowed is None else allowed
    return ", over the limit but within the noise" if m.value > limit and low <= beyond else ""


def _ends(m: Measurement) -> tuple[float, float]:
    assert m.value is not None
    return (m.value, m.value) if m.low is None or m.high is None else (m.low, m.high)


def _figure(m: Measurement) -> str:
    ends = "" if m.low is None or m.high is None else f" ({m.low:.4g} to {m.high:.4g})"
    return f"{m.quantity} of {m.artifact or 'the build'} in {m.runtime or 'all'} {m.value:.4g} {m.unit}{ends}"
