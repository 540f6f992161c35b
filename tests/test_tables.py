"""A key's line is found whatever the TOML looks like, and problems come with it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistill.tables import line_of

TEXT = """\
# a comment with key = 1
title = "x"  # [not.a.table]
dotted.inner = 3

[one]
value = 1
source = "s"

[ two . inner ]  # spaces
value = 2

[[many]]
key = 1
[[many]]
other = 1
key = 2
"""


def test_lines_of_keys() -> None:
    assert line_of(TEXT, ("title",)) == 2
    assert line_of(TEXT, ("dotted", "inner")) == 3
    assert line_of(TEXT, ("one", "source")) == 7
    assert line_of(TEXT, ("two", "inner", "value")) == 10
    assert line_of(TEXT, ("many", 0, "key")) == 13
    assert line_of(TEXT, ("many", 1, "key")) == 16


def test_a_missing_key_has_its_tables_line_or_none() -> None:
    assert line_of(TEXT, ("one", "missing")) == 5
    assert line_of(TEXT, ("many", 1, "missing")) == 14
    assert line_of(TEXT, ("three", "value")) is None
    assert line_of("", ("x",)) is None


NAMES = st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True)


@settings(max_examples=30, deadline=None)
@given(tables=NAMES, blank=st.lists(st.integers(0, 2), min_size=8, max_size=8))
def test_a_key_is_found_where_it_was_written(tables: list[str], blank: list[int]) -> None:
    lines, wanted = [], {}
    for name, gap in zip(tables, blank, strict=False):
        lines += [""] * gap + [f"[{name}]", "source = 'value = 1'", "value = 1"]
        wanted[name] = len(lines)
    text = "\n".join(lines)
    assert {name: line_of(text, (name, "value")) for name in tables} == wanted
