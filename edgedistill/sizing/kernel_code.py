"""Says what C kernels take of flash, by a table: each set of kernels is linked at most twice."""

from __future__ import annotations

from collections.abc import Callable

from edgedistill.ir.graph import Graph
from edgedistill.ir.interpret import Family
from edgedistill.runners import cortex_m
from edgedistill.sizing.c_constants import Program, constant_bytes
from edgedistill.sizing.flash import planned
from edgedistill.target import Target

Link = Callable[[Graph, Target], int | None]
"""Bytes that a model takes of a device's flash when it is linked; None: no compiler is here."""


class KernelCode:
    """Bytes of code by device, kernels and the number of steps that call them; filled as it is asked.

    Each step adds a call, and all calls are alike (20 bytes on a Cortex-M4), so that two programs of
    different lengths say what all programs with these kernels take. Against linked programs:
    tests/sizing/test_kernel_code.py.
    """

    def __init__(self, cc: str = cortex_m.CC, family: Family = "F", link: Link | None = None) -> None:
        self._cc, self._family = cc, family
        self._link = self._linked if link is None else link
        self._known: dict[tuple[str, tuple[str, ...]], dict[int, int]] = {}
        self._none: set[str] = set()

    def of(self, program: Program, graph: Graph, device: Target) -> int | None:
        """Bytes of code; None: there is no compiler for the device.

        Args:
            program: of ``graph``.
            graph: int8, with weights that differ, which is linked if the table cannot say.
        """
        if device.name in self._none:
            return None
        rows = self._known.setdefault((device.name, program.kernels), {})
        if program.calls not in rows and len(rows) < 2:
            total = self._link(graph, device)
            if total is None:
                self._none.add(device.name)
                return None
            rows[program.calls] = total - constant_bytes(graph) - program.structure_bytes
        if program.calls in rows:
            return rows[program.calls]
        (few, less), (many, more) = sorted(rows.items())
        return round(less + (program.calls - few) * (more - less) / (many - few))

    def _linked(self, graph: Graph, device: Target) -> int | None:
        found = planned(graph, device, self._cc, self._family)
        return None if found is None else found.total_bytes
