"""The tables that a build ends with on the terminal: one row per target, then one per runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgedistill.record import BuildRecord, Parity
from edgedistill.report import attacks, int16, people

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text


def table(records: Sequence[BuildRecord]) -> Group:
    """Accuracy, size, speed and parity of every record, in 80 columns; no text is read as markup."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Table | Text] = [_figures(records)]
    if any(record.robustness for record in records):
        parts.append(_attacks(records))
    if records and records[0].int16 is not None:  # of the student, so the same for every target
        parts.append(Text(int16.sentences(records[0])[0] + "\n"))
    if any(record.parity for record in records):
        parts.append(_runtimes(records))
    return Group(*parts)


def _figures(records: Sequence[BuildRecord]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    out = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    out.add_column("target", overflow="fold")
    for name in ("teacher", "float32", "int8", "size", "latency", "same bits"):
        out.add_column(name, justify="right", no_wrap=True)
    for record in records:
        a = record.accuracy
        size, _ = people.primary_size(record)
        out.add_row(
            Text(record.target),
            people.percent(a.teacher),
            people.percent(a.student_float),
            people.percent(a.student_int8),
            people.size(size),
            _speed(record),
            _same(record.parity),
        )
    return out


def _attacks(records: Sequence[BuildRecord]) -> Table:
    """The same for every target of a build: one student is attacked."""
    from rich import box
    from rich.table import Table

    out = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    made = next(record.robustness for record in records if record.robustness is not None)
    out.add_column(f"attack within {made.epsilon}/255, {made.images:,} images", overflow="fold")
    for name in ("teacher", "float32", "int8", "only float32 fooled", "only int8"):
        out.add_column(name, justify="right")
    for row in attacks.rows(made):
        out.add_row(
            row.attack, row.teacher, row.student_float, row.student_int8, row.only_float, row.only_int8
        )
    return out


def _runtimes(records: Sequence[BuildRecord]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    out = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    several = len(records) > 1
    for name in (("target",) if several else ()) + ("runtime", "family", "against the interpreter"):
        out.add_column(name, overflow="fold")
    for record in records:
        for p in record.parity:
            cells = (Text(p.runtime), Text(p.family), Text(people.parity_words(p), style=_style(p)))
            out.add_row(*(((Text(record.target),) if several else ()) + cells))
    return out


def _speed(record: BuildRecord) -> Text:
    from rich.text import Text

    counted = people.on_device(record, "instructions")
    if counted is not None:
        return Text(people.instructions(counted).replace("instructions", "instr."))
    foretold = people.on_npu(record)
    if foretold is not None:
        return Text(f"{people.milliseconds(foretold)}, modelled")
    best = people.fastest(record)
    if best is None:
        return Text(people.MISSING, style="dim")
    _, int8, real = best
    text = Text(people.milliseconds(int8))
    if real is not None:
        text.append(f" ({real / int8:.1f}x)", style="green" if int8 < real else "yellow")
    return text


def _same(parity: Sequence[Parity]) -> Text:
    from rich.text import Text

    ran = [p for p in parity if p.how != "not run"]
    if not ran:
        return Text(people.MISSING, style="dim")
    same = sum(p.identical == p.values for p in ran)
    return Text(f"{same} of {len(ran)}", style="green" if same == len(ran) else "red")


def _style(parity: Parity) -> str:
    if parity.how == "not run":
        return "dim"
    return "green" if parity.identical == parity.values else "red"
