"""Students that cannot fit are told before training, with limit, need and remedy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgedistill import recipe as recipes
from edgedistill import target
from edgedistill.errors import BudgetError, InputError
from edgedistill.export import c
from edgedistill.ir import plan
from edgedistill.ir.graph import Graph
from edgedistill.quant import ranges
from edgedistill.quant.integer import to_integer
from edgedistill.recipe import Recipe
from edgedistill.sizing import fits
from edgedistill.target import Fact, Target
from tests.graphs import small_float_graph

M4 = target.load("cortex-m4")
PHONE = target.load("android-arm64")


@pytest.fixture(scope="module")
def graph() -> Graph:
    return ranges.separate_fixed_operands(small_float_graph(3))


def board(**sizes: int) -> Target:
    facts = {name: Fact(value=size, source="made up") for name, size in sizes.items()}
    return M4.model_copy(update={"name": "my-board", "title": "My board", **facts})


def budget(**limits: str) -> Recipe:
    return recipes.resolve(None, {f"budget.{name}": value for name, value in limits.items()})


def lowered(graph: Graph) -> Graph:
    return to_integer(graph, ranges.choose(graph, {}))


def test_needs_are_those_of_the_trained_student(graph: Graph) -> None:
    as_c, other = fits.needs(lowered(graph), as_c=True), fits.needs(lowered(graph), as_c=False)
    observed = dict.fromkeys(graph.activations(), (-3.0, 5.0))
    trained = to_integer(graph, ranges.choose(graph, observed))
    assert as_c.arena_bytes == c.memory(trained).peak and other.arena_bytes == plan.arena(trained).peak
    assert as_c.weight_bytes == other.weight_bytes == plan.weight_bytes(trained)
    assert as_c.stack_bytes == 2048 and other.ram_bytes == other.arena_bytes


def test_the_limit_itself_is_enough(graph: Graph) -> None:
    found = fits.needs(lowered(graph), as_c=True, device=M4)
    fits.check(graph, [board(ram_bytes=found.ram_bytes, flash_bytes=found.flash_bytes), PHONE], Recipe())
    with pytest.raises(InputError) as caught:
        fits.check(graph, [PHONE, board(ram_bytes=found.ram_bytes - 1)], Recipe())
    assert "does not fit My board: it needs" in caught.value.what and "made up" in caught.value.what
    assert "KiB of arena and 2.0 KiB of stack" in caught.value.what
    assert caught.value.where == "student auto, target my-board"
    with pytest.raises(InputError, match="of code" if found.flash else "weights alone"):
        fits.check(graph, [board(flash_bytes=found.flash_bytes - 1)], Recipe())


def test_without_a_compiler_weights_stand_for_flash(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = fits.needs(lowered(graph), as_c=True, device=M4)
    assert found.flash is None and found.flash_bytes == found.weight_bytes
    with pytest.raises(InputError, match=r"its weights alone take .* of flash"):
        fits.check(graph, [board(flash_bytes=found.weight_bytes - 1)], Recipe())


def test_a_budget_that_cannot_be_kept(graph: Graph) -> None:
    found = fits.needs(lowered(graph), as_c=False)
    fits.check(graph, [PHONE], budget(ram=f"{found.arena_bytes}B", macs=f"{found.macs}", latency="1ms"))
    for limits in ({"ram": "1kB"}, {"flash": "1kB"}, {"macs": "1k"}, {"weights": "1kB"}):
        with pytest.raises(BudgetError, match="cannot keep the budget") as caught:
            fits.check(graph, [PHONE], budget(**limits))
        assert (caught.value.where or "").startswith(f"budget.{next(iter(limits))}")
        assert "another limit" in (caught.value.fix or "")


def test_a_target_file_of_ones_own(graph: Graph, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "targets" / "cortex-m4.toml").read_text()
    path = tmp_path / "tiny.toml"
    path.write_text(text + '\n[ram_bytes]\nvalue = 1024\nsource = "its data sheet"\n')
    with pytest.raises(InputError, match=r"1\.0 KiB of RAM \(its data sheet\)"):
        fits.check(graph, [target.load(str(path))], Recipe())
