"""Keeps what native code prints behind Python's back out of the user's terminal and JSON lines."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

_STDERR = 2


@contextlib.contextmanager
def hidden_stderr() -> Iterator[None]:
    """File descriptor 2 leads nowhere during the block; exceptions still carry their reasons."""
    sys.stderr.flush()
    saved = os.dup(_STDERR)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, _STDERR)
        yield
    finally:
        os.dup2(saved, _STDERR)
        os.close(saved)
        os.close(nowhere)
