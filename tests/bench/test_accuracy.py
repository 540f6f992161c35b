"""A gain on the same examples, and how far chance alone could take it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.bench.accuracy import paired


def test_only_examples_that_differ_make_the_error() -> None:
    first = np.array([True] * 60 + [True] * 9 + [False] * 4 + [False] * 27)
    second = np.array([True] * 60 + [False] * 9 + [True] * 4 + [False] * 27)
    gain, error = paired(first, second)
    assert gain == pytest.approx(0.05)
    assert error == pytest.approx(np.sqrt(13 - 25 / 100) / 100)
    assert paired(first, first) == (0.0, 0.0)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=50))
def test_it_is_the_spread_of_the_differences(pairs: list[tuple[bool, bool]]) -> None:
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    differences = first.astype(float) - second.astype(float)
    gain, error = paired(first, second)
    assert gain == pytest.approx(differences.mean())
    assert error == pytest.approx(differences.std() / np.sqrt(len(pairs)), abs=1e-9)
