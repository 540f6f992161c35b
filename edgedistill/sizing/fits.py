"""Says before training that a student cannot fit: arena, weights and MACs do not depend on what it learns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgedistill import recipe as recipes
from edgedistill.errors import BudgetError, InputError
from edgedistill.export import c
from edgedistill.ir import plan
from edgedistill.ir.graph import Graph
from edgedistill.quant import ranges
from edgedistill.quant.integer import to_integer
from edgedistill.recipe import Recipe
from edgedistill.runners.cortex_m.firmware import STACK_BYTES
from edgedistill.target import Target
from edgedistill.units import format_bytes, format_count

_SMALLER = "choose a smaller --student (`edgedistill list students`)"


@dataclass(frozen=True)
class Needs:
    """What the deployed student takes at least."""

    arena_bytes: int
    stack_bytes: int
    weight_bytes: int
    macs: int

    @property
    def ram_bytes(self) -> int:
        return self.arena_bytes + self.stack_bytes

    @property
    def ram_words(self) -> str:
        stack = f" and {format_bytes(self.stack_bytes)} of stack" if self.stack_bytes else ""
        return f"{format_bytes(self.arena_bytes)} of arena{stack}"


def needs(graph: Graph, *, as_c: bool) -> Needs:
    """Of a float graph, lowered with dummy ranges; C counts its scratch, and overwrites in place."""
    integer = to_integer(graph, ranges.choose(graph, {}))
    arena = c.memory(integer) if as_c else plan.arena(integer)
    return Needs(
        arena.peak, STACK_BYTES if as_c else 0, plan.weight_bytes(integer), sum(plan.macs(integer).values())
    )


def check(graph: Graph, devices: Sequence[Target], recipe: Recipe) -> None:
    """Holds an untrained student against each device's memories, and against the budget.

    Raises:
        InputError: it cannot fit a device.
        BudgetError: it cannot keep a limit of the budget.
    """
    for device in devices:
        found = needs(graph, as_c="c" in recipes.formats(recipe, device))
        where = f"student {recipe.student.spec}, target {device.name}"
        for problem in _too_large(found, device):
            raise InputError(
                f"the student does not fit {device.title}: {problem}",
                where=where,
                fix=f"{_SMALLER}, a lower data.resolution, or a device with more memory",
            )
        for name, problem in _over_budget(found, recipes.budget(recipe)):
            raise BudgetError(
                f"the student cannot keep the budget: {problem}",
                where=f"budget.{name}; {where}",
                fix=f"{_SMALLER}, a lower data.resolution, or another limit",
            )


def _too_large(found: Needs, device: Target) -> Iterator[str]:
    ram, flash = device.ram_bytes, device.flash_bytes
    if ram is not None and found.ram_bytes > ram.value:
        yield f"it needs {found.ram_words}, and there are {format_bytes(ram.value)} of RAM ({ram.source})"
    if flash is not None and found.weight_bytes > flash.value:
        yield (
            f"its weights alone take {format_bytes(found.weight_bytes)}, "
            f"and there are {format_bytes(flash.value)} of flash ({flash.source})"
        )


def _over_budget(found: Needs, budget: dict[str, float]) -> Iterator[tuple[str, str]]:
    ram, flash, macs = (budget.get(name) for name in ("ram", "flash", "macs"))
    if ram is not None and found.arena_bytes > ram:
        words = f"its arena takes {format_bytes(found.arena_bytes)}"
        yield "ram", f"{words}, and the limit is {format_bytes(ram)}"
    if flash is not None and found.weight_bytes > flash:
        words = f"its weights alone take {format_bytes(found.weight_bytes)}"
        yield "flash", f"{words}, and the limit is {format_bytes(flash)}"
    if macs is not None and found.macs > macs:
        words = f"one inference takes {format_count(found.macs)} MACs"
        yield "macs", f"{words}, and the limit is {format_count(macs)}"
