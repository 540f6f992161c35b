"""Prints a memory plan as a map: rows are steps, columns slices of the arena, letters tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgedistill.ir.names import short
from edgedistill.ir.plan import ArenaPlan, Placement

COLUMNS = 64
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
FREE = "."


@dataclass(frozen=True)
class Block:
    """Bytes that one or more tensors take, and the steps, both included, for which they take them."""

    names: tuple[str, ...]
    offset: int
    size: int
    first: int
    last: int


def blocks(tensors: Sequence[Placement]) -> tuple[Block, ...]:
    """One block per range of bytes and steps, in the order in which they begin."""
    found: dict[tuple[int, int, int, int], list[str]] = {}
    for t in tensors:
        if t.size:
            found.setdefault((t.first, t.offset, t.last, t.size), []).append(t.name)
    return tuple(
        Block(tuple(names), offset, size, first, last)
        for (first, offset, last, size), names in sorted(found.items())
    )


def text(plan: ArenaPlan, how: str) -> str:
    """The map, and below it which letter is which tensor. After 62 blocks the letters begin again."""
    shown = blocks(plan.tensors)
    if not shown or not plan.peak:
        return "memory: no tensor needs the arena\n"
    called = short(name for block in shown for name in block.names)
    steps = 1 + max(block.last for block in shown)
    above = (
        f"; no plan is below {plan.lower_bound:,}" if plan.lower_bound < plan.peak else ", the least possible"
    )
    lines = [f"memory, {how}: {plan.peak:,} bytes{above}; a column is {plan.peak / COLUMNS:,.0f} bytes"]
    for step in range(steps):
        row = [FREE] * COLUMNS
        for i, block in enumerate(shown):
            if block.first <= step <= block.last:
                start, end = _columns(block, plan.peak)
                row[start:end] = LETTERS[i % len(LETTERS)] * (end - start)
        lines.append(f"step {step:>3} |{''.join(row)}|")
    rows = [
        (
            LETTERS[i % len(LETTERS)],
            f"{b.offset:,}",
            f"{b.size:,}",
            f"{b.first}-{b.last}",
            ", ".join(called[name] for name in b.names),
        )
        for i, b in enumerate(shown)
    ]
    widths = [max(len(row[k]) for row in [("", "offset", "bytes", "steps"), *rows]) for k in range(4)]
    lines.append(f"  {'offset':>{widths[1]}}  {'bytes':>{widths[2]}}  {'steps':>{widths[3]}}  tensors")
    lines += [
        f"{letter} {offset:>{widths[1]}}  {size:>{widths[2]}}  {when:>{widths[3]}}  {names}"
        for letter, offset, size, when, names in rows
    ]
    return "\n".join(lines) + "\n"


def _columns(block: Block, peak: int) -> tuple[int, int]:
    """At least one column, so that small tensors show."""
    start = min(COLUMNS - 1, block.offset * COLUMNS // peak)
    return start, max(start + 1, min(COLUMNS, round((block.offset + block.size) * COLUMNS / peak)))
