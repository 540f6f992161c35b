"""Sets finished builds side by side: what each reaches, takes and answers, and where their recipes differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edgedistill.record import BuildRecord, Measurement
from edgedistill.report import people, svg
from edgedistill.report.html import flattened
from edgedistill.report.template import template

Better = Literal["high", "low", "neither"]
UNKNOWN = "–"


@dataclass(frozen=True)
class Row:
    """One figure of every build; ``values`` None: not known; ``best``: the builds that lead, if not all."""

    label: str
    words: tuple[str, ...]
    values: tuple[float | None, ...]
    better: Better = "neither"

    @property
    def best(self) -> tuple[int, ...]:
        """Which builds have the best of the values; none where all are equal or nothing is better."""
        known = [value for value in self.values if value is not None]
        if self.better == "neither" or len(set(known)) < 2:
            return ()
        top = max(known) if self.better == "high" else min(known)
        return tuple(i for i, value in enumerate(self.values) if value == top)


@dataclass(frozen=True)
class Comparison:
    """Builds by name, their figures by group, and the keys in which their recipes differ."""

    names: tuple[str, ...]
    groups: Mapping[str, tuple[Row, ...]]
    recipes: tuple[tuple[str, tuple[str, ...]], ...]
    remarks: tuple[str, ...] = ()


def compared(builds: Mapping[str, BuildRecord]) -> Comparison:
    """``builds``: two or more finished builds by the names that they are shown under."""
    records = tuple(builds.values())
    groups = {
        "Accuracy": _accuracy(records),
        "Size": _size(records),
        "Speed": _speed(records),
        "Same bits": (_bits(records),),
    }
    shown = {name: rows for name, rows in groups.items() if rows}
    return Comparison(tuple(builds), shown, _differences(records), _remarks(records))


def page(comparison: Comparison) -> str:
    """As one self-contained HTML page: no script, no request to any network."""
    return template("compare.html.j2").render(
        c=comparison,
        title="Builds side by side — edgedistill",
        accuracy_chart=_chart(comparison, "Accuracy", "Student, int8", "%", 100.0),
        size_chart=_chart(comparison, "Size", "int8 file or flash", "kB", 1e-3),
    )


def _row(
    label: str,
    records: Sequence[BuildRecord],
    value: Callable[[BuildRecord], float | None],
    words: Callable[[float], str],
    better: Better = "neither",
) -> tuple[Row, ...]:
    """One row, or none where no build knows it."""
    values = tuple(value(record) for record in records)
    if all(v is None for v in values):
        return ()
    return (Row(label, tuple(UNKNOWN if v is None else words(v) for v in values), values, better),)


def _accuracy(records: Sequence[BuildRecord]) -> tuple[Row, ...]:
    def share(value: float) -> str:
        return people.percent(value, 2)

    return (
        *_row("Teacher", records, lambda r: r.accuracy.teacher, share),
        *_row("Student, float32", records, lambda r: r.accuracy.student_float, share, "high"),
        *_row("Student, int8", records, lambda r: r.accuracy.student_int8, share, "high"),
        *_row("On labels alone, int8", records, lambda r: r.accuracy.plain_int8, share, "high"),
        *_row("Test examples", records, lambda r: r.accuracy.test_images or None, people.count),
    )


def _size(records: Sequence[BuildRecord]) -> tuple[Row, ...]:
    def file(record: BuildRecord) -> float | None:
        return people.primary_size(record)[0]

    return (
        *_row("int8 file or flash", records, file, people.size, "low"),
        *_row("Weights", records, lambda r: r.graph.weight_bytes, people.size, "low"),
        *_row("Activation arena", records, lambda r: r.graph.arena_bytes, people.size, "low"),
        *_row("Parameters", records, lambda r: r.graph.parameters, people.count, "low"),
        *_row("Multiply-accumulates", records, lambda r: r.graph.macs, people.count, "low"),
    )


def _speed(records: Sequence[BuildRecord]) -> tuple[Row, ...]:
    """A row for each quantity and runtime that any build measured of its int8 files."""
    keys = dict.fromkeys(
        (m.quantity, m.runtime, m.how) for record in records for m in record.measurements if _is_speed(m)
    )
    found: list[Row] = []
    for quantity, runtime, how in keys:
        rows = [_measured(record, quantity, runtime, how) for record in records]
        values = tuple(None if m is None else m.value for m in rows)
        words = tuple(UNKNOWN if m is None else people.figure(m) for m in rows)
        label = f"{quantity.replace('_', ' ').capitalize()}, {runtime}, {how}"
        found.append(Row(label, words, values, "low"))
    return tuple(found)


def _is_speed(m: Measurement) -> bool:
    kinds = ("latency", "estimated_latency", "energy", "estimated_energy", "instructions", "peak_memory")
    return m.value is not None and m.quantity in kinds and not people.is_float32(m.artifact)


def _measured(record: BuildRecord, quantity: str, runtime: str, how: str) -> Measurement | None:
    matching = (
        m
        for m in record.measurements
        if _is_speed(m) and (m.quantity, m.runtime, m.how) == (quantity, runtime, how)
    )
    return next(matching, None)


def _bits(records: Sequence[BuildRecord]) -> Row:
    words, values = [], []
    for record in records:
        ran = [p for p in record.parity if p.how != "not run"]
        same = sum(p.identical == p.values for p in ran)
        words.append(f"{same} of {len(ran)}" if ran else people.MISSING)
        values.append(same / len(ran) if ran else None)
    return Row("Runtimes with the interpreter's bits", tuple(words), tuple(values), "high")


def _differences(records: Sequence[BuildRecord]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    flat = [dict(flattened(record.recipe)) for record in records]
    keys = dict.fromkeys(key for one in flat for key in one)
    values = ((key, tuple(one.get(key, UNKNOWN) for one in flat)) for key in keys)
    return tuple((key, row) for key, row in values if len(set(row)) > 1)


def _remarks(records: Sequence[BuildRecord]) -> tuple[str, ...]:
    """What makes figures side by side misleading."""
    found = []
    if len({record.labels for record in records}) > 1:
        found.append("the builds know different classes: their accuracies answer different questions")
    data = {str(record.stage_hashes.get("data", "")) for record in records}
    if len({record.accuracy.test_images for record in records}) > 1 or len(data) > 1:
        found.append("the builds were tested on different examples")
    if len({record.machine for record in records}) > 1:
        found.append("the builds were measured on different machines: compare no latency of theirs")
    return tuple(found)


def _chart(comparison: Comparison, group: str, label: str, unit: str, scale: float) -> str:
    for row in comparison.groups.get(group, ()):
        if row.label == label:
            bars = [
                (name, [("", "int8", value * scale)])
                for name, value in zip(comparison.names, row.values, strict=True)
                if value is not None
            ]
            return svg.bars(f"{label} by build", bars, unit)
    return ""
