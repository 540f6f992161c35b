"""C text: rows stay within the page, and nothing is lost between them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edgedistill.export.c.text import lines

WIDTH = 100


@given(st.lists(st.text("0123456789-", min_size=1, max_size=40)))
def test_items_fill_rows_as_far_as_they_go(items: list[str]) -> None:
    rows = lines(items).split("\n")
    assert "".join(rows).replace(" ", "") == ",".join(items)
    assert all(row.startswith("    ") and len(row) <= WIDTH for row in rows if row)
    for row, following in pairwise(rows):
        first = following.strip().split(",")[0]
        assert len(row) + len(f" {first},") > WIDTH


def test_an_item_wider_than_the_page_has_a_row_of_its_own() -> None:
    assert lines(["1", "2" * 200, "3"]) == f"    1,\n    {'2' * 200},\n    3"


def test_nothing() -> None:
    assert lines([]) == ""
