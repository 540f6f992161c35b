"""Mapped arrays take their disk space when they are made."""

import sys
from pathlib import Path

import numpy as np
import pytest

from edgedistill.mapped import new_array


def test_zeros_that_are_kept(tmp_path: Path) -> None:
    array = new_array(tmp_path / "a.npy", np.float32, (3, 2))
    assert not array.any()
    array[1] = 5
    array.flush()
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), [[0, 0], [5, 5], [0, 0]])


@pytest.mark.skipif(sys.platform != "linux", reason="blocks are counted as Linux does")
def test_no_holes(tmp_path: Path) -> None:
    new_array(tmp_path / "a.npy", np.uint8, (1 << 20,))
    assert (tmp_path / "a.npy").stat().st_blocks * 512 >= 1 << 20
