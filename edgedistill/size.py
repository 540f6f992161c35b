"""The page of edgedistill size: the best student inside a budget, found without training it."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from edgedistill import choose, target
from edgedistill import recipe as recipes
from edgedistill.build import load_data
from edgedistill.deliver import Run
from edgedistill.recipe import Recipe
from edgedistill.report import pareto
from edgedistill.reporter import QuietReporter, Reporter
from edgedistill.sized import Sizing
from edgedistill.sizing import budget, cost
from edgedistill.store import Store, atomic_write, check_writable

PAGE = "size.html"


def size(
    recipe: Recipe,
    out: Path,
    *,
    flags: Collection[str] = (),
    fresh: bool = False,
    reporter: Reporter | None = None,
) -> Sizing:
    """Chooses a student for the recipe's targets, data and budget, whatever student it names.

    Args:
        out: gets size.html, and ``.cache`` with the history of the search; the same call goes on there.
        flags: names of limits that were given on the command line.
        fresh: forgets earlier searches first.

    Raises:
        InputError: something of the user's cannot be used, or nothing limits the student.
        BudgetError: no student keeps the budget.
    """
    asked = "thorough" if recipe.sizing.search == "thorough" else "quick"
    section = recipe.sizing.model_copy(update={"search": asked})
    recipe = recipe.model_copy(update={"student": recipes.StudentSection(), "sizing": section})
    recipes.check(recipe)
    devices = [target.load(name) for name in recipe.targets]
    limits = budget.of(recipe, devices, flags)
    choose.check_limited(limits)
    limits.check(devices, cost.missing)
    run = Run(recipe, Store(out / ".cache"), reporter or QuietReporter())
    check_writable(out)
    if fresh:
        (run.store.root / choose.HISTORY).unlink(missing_ok=True)
        shutil.rmtree(run.store.root / "size", ignore_errors=True)
    made = choose.stage(run, devices, limits, load_data)
    atomic_write(out / PAGE, pareto.page(made).encode())
    return made
