"""Short names of tensors for people: converters join the names of all that they fused with semicolons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

LONGEST = 40


def short(names: Iterable[str]) -> dict[str, str]:
    """Each name's first part, its end if that is long; names that would become the same get a number."""
    every = dict.fromkeys(names)
    cut = {name: _cut(name) for name in every}
    same, seen = Counter(cut.values()), Counter[str]()
    found = {}
    for name, shown in cut.items():
        seen[shown] += 1
        found[name] = shown if same[shown] == 1 else f"{shown}#{seen[shown]}"
    return found


def _cut(name: str) -> str:
    first = name.partition(";")[0] or name
    if first != name:
        first += ";…"
    return first if len(first) <= LONGEST else "…" + first[-(LONGEST - 1) :]
