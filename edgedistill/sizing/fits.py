"""Says before training that a student cannot fit: memory and MACs do not depend on what it learns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgedistill import recipe as recipes
from edgedistill.errors import BudgetError, InputError
from edgedistill.export import c
from edgedistill.ir import plan
from edgedistill.ir.graph import Graph
from edgedistill.ir.interpret import Family
from edgedistill.quant import int16
from edgedistill.quant.integer import to_integer
from edgedistill.recipe import Recipe
from edgedistill.record import PlannedFlash
from edgedistill.runners import cortex_m
from edgedistill.runners.cortex_m.firmware import STACK_BYTES
from edgedistill.sizing.flash import planned
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
    flash: PlannedFlash | None = None  # None: not compiled here, so only the weights are known

    @property
    def flash_bytes(self) -> int:
        return self.weight_bytes if self.flash is None else self.flash.total_bytes

    @property
    def flash_words(self) -> str:
        if self.flash is None:
            return f"its weights alone take {format_bytes(self.weight_bytes)}"
        constants, code = format_bytes(self.flash.constant_bytes), format_bytes(self.flash.code_bytes)
        return f"it needs {constants} of constants and {code} of code ({self.flash.compiler})"

    @property
    def ram_bytes(self) -> int:
        return self.arena_bytes + self.stack_bytes

    @property
    def ram_words(self) -> str:
        stack = f" and {format_bytes(self.stack_bytes)} of stack" if self.stack_bytes else ""
        return f"{format_bytes(self.arena_bytes)} of arena{stack}"


def needs(
    graph: Graph,
    *,
    as_c: bool,
    device: Target | None = None,
    family: Family = "F",
    cc: str = cortex_m.CC,
) -> Needs:
    """Of an int8 graph.

    Args:
        graph: with any weights.
        as_c: C counts its scratch and its stack, and overwrites in place.
        device: for whose core C is compiled, if a compiler is here; None: weights stand for flash.
        family: of the C.
        cc: GCC for Arm.
    """
    return Needs(
        c.arena(graph, as_c=as_c).peak,
        STACK_BYTES if as_c else 0,
        plan.weight_bytes(graph),
        sum(plan.macs(graph).values()),
        planned(graph, device, cc, family) if as_c and device is not None else None,
    )


def check(graph: Graph, devices: Sequence[Target], recipe: Recipe) -> dict[str, Needs]:
    """Holds an untrained student against each device's memories, and against the budget.

    Returns:
        What it takes of each device, by its name.

    Raises:
        InputError: it cannot fit a device, or be printed as C where that is wanted.
        BudgetError: it cannot keep a limit of the budget.
    """
    return check_integer(lowered(graph, recipe), devices, recipe)


def lowered(graph: Graph, recipe: Recipe) -> Graph:
    """An untrained student's integer graph, with the layers in int16 that the recipe names.

    Raises:
        InputError: it names none, or one that cannot be.
    """
    named = () if recipe.quantise.int16 == "auto" else recipe.quantise.int16
    return to_integer(*int16.quantised(graph, {}, int16.selected(graph, named)))


def check_integer(integer: Graph, devices: Sequence[Target], recipe: Recipe) -> dict[str, Needs]:
    """As ``check``, of an integer graph."""
    budget = recipes.budget(recipe)
    family, every = recipe.export.family, {}
    in_c = {device.name for device in devices if "c" in recipes.formats(recipe, device)}
    if in_c:
        c.check(integer, family)
    for device in devices:
        as_c = device.name in in_c
        found = needs(integer, as_c=as_c, device=device, family=family, cc=recipe.bench.cc)
        every[device.name] = found
        where = f"student {recipe.student.spec}, target {device.name}"
        for problem in _too_large(found, device):
            raise InputError(
                f"the student does not fit {device.title}: {problem}",
                where=where,
                fix=f"{_SMALLER}, a lower data.resolution, or a device with more memory",
            )
        for name, problem in _over_budget(found, budget):
            raise BudgetError(
                f"the student cannot keep the budget: {problem}",
                where=f"budget.{name}; {where}",
                fix=f"{_SMALLER}, a lower data.resolution, or another limit",
            )
    return every


def _too_large(found: Needs, device: Target) -> Iterator[str]:
    ram, flash = device.ram_bytes, device.flash_bytes
    if ram is not None and found.ram_bytes > ram.value:
        yield f"it needs {found.ram_words}, and there are {format_bytes(ram.value)} of RAM ({ram.source})"
    if flash is not None and found.flash_bytes > flash.value:
        limit = f"there are {format_bytes(flash.value)} of flash ({flash.source})"
        yield f"{found.flash_words}, and {limit}"


def _over_budget(found: Needs, budget: dict[str, float]) -> Iterator[tuple[str, str]]:
    ram, flash, macs, weights = (budget.get(name) for name in ("ram", "flash", "macs", "weights"))
    if ram is not None and found.arena_bytes > ram:
        words = f"its arena takes {format_bytes(found.arena_bytes)}"
        yield "ram", f"{words}, and the limit is {format_bytes(ram)}"
    if flash is not None and found.flash_bytes > flash:
        yield "flash", f"{found.flash_words}, and the limit is {format_bytes(flash)}"
    if macs is not None and found.macs > macs:
        words = f"one inference takes {format_count(found.macs)} MACs"
        yield "macs", f"{words}, and the limit is {format_count(macs)}"
    if weights is not None and found.weight_bytes > weights:
        words = f"its weights take {format_bytes(found.weight_bytes)}"
        yield "weights", f"{words}, and the limit is {format_bytes(weights)}"
