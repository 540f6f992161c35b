"""Makes the table of a unary function, and tells which function a table is."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.ir import ops
from edgedistill.ir.graph import QParams
from edgedistill.ir.interpret import apply_function

_NAMED: tuple[ops.Function, ...] = ("sigmoid", "tanh", "gelu", "silu", "hardswish", "hardsigmoid")
_ROUNDINGS = 4  # of 256 entries: whoever made the table may have rounded its ties otherwise


def entries_of(real: Callable[[NDArray[Any]], NDArray[Any]], x: QParams, y: QParams) -> NDArray[np.int8]:
    """The 256 int8 answers of a function of real numbers, computed in float64, rounded half to even."""
    points = (np.arange(-128, 128) - x.zero_point).astype(np.float64) * float(x.scale[0])
    q = np.rint(real(points) / float(y.scale[0])) + y.zero_point
    return np.asarray(np.clip(q, -128, 127), np.int8)


def function_of(entries: NDArray[np.int8], x: QParams, y: QParams) -> ops.Function:
    """The function without a parameter whose table this is, but for a few roundings; else lookup."""
    for fn in _NAMED:
        wanted = entries_of(functools.partial(apply_function, ops.Table(fn)), x, y)
        off = np.abs(wanted.astype(np.int32) - entries)
        if off.max() <= 1 and off.sum() <= _ROUNDINGS:
            return fn
    return "lookup"
