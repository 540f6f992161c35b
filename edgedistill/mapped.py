"""Makes memory-mapped arrays whose disk space is really there: a full disk is an error, not a crash."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def new_array(path: Path, dtype: Any, shape: Sequence[int]) -> np.memmap[Any, np.dtype[Any]]:
    """A new .npy file of zeros, mapped for writing.

    A mapped file with holes kills the process (SIGBUS) when the disk fills up while it is
    written; so its blocks are taken now, where the system can do that.

    Raises:
        OSError: there is no room for it.
    """
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=tuple(shape))
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, max(path.stat().st_size, 1))
    return array
