"""A graph made from a template is the graph that tracing the same student gives."""

import random
import re

import numpy as np
import pytest
import torch

from edgedistill import students
from edgedistill.export import c
from edgedistill.export.c import layout
from edgedistill.ir import plan, text
from edgedistill.sizing import c_constants, space
from edgedistill.sizing.template import outline, structure, template

SHAPES = {"resnet": (32, 32, 3), "mobilenet": (32, 32, 3), "dscnn": (49, 40, 1)}


def words(graph: object) -> str:
    """The text without the weights' scales, which are those of random values."""
    return re.sub(r" +", " ", re.sub(r"\([^()]*\.\.[^()]*\)", "", text.text(graph)))  # type: ignore[arg-type]


def drawn(family: str, seed: int, fixed: dict[str, int]) -> students.StudentSpec:
    rng = random.Random(seed)
    values = {axis.name: rng.choice(axis.values[:9]) for axis in space.axes(family)}
    return students.parse(space.spec(family, {**values, **fixed}))


@pytest.mark.parametrize(
    ("family", "fixed", "free"),
    [
        ("resnet", {"blocks1": 1, "blocks2": 2, "blocks3": 1}, {}),
        (
            "mobilenet",
            {"blocks1": 1, "blocks2": 2, "blocks3": 1, "stem_stride": 1, "kernel": 3},
            {"kernel": 5},
        ),
        ("mobilenet", {"blocks1": 1, "blocks2": 1, "blocks3": 1, "stem_stride": 2}, {"expansion1": 1}),
        ("dscnn", {"depth": 2, "halvings": 1}, {}),
    ],
)
def test_a_resized_template_is_the_traced_graph(
    family: str, fixed: dict[str, int], free: dict[str, int]
) -> None:
    torch.manual_seed(0)
    shape = SHAPES[family]
    first, other = drawn(family, 1, fixed), drawn(family, 2, {**fixed, **free})
    nets = [spec.build(10, shape[2]) for spec in (first, other)]
    traced = [template(net, shape, ("a", "b")) for net in nets]
    assert not traced[0].rigid
    same = structure(outline(lambda: other.build(10, shape[2])))
    assert same == structure(nets[1])
    base = traced[0] if structure(nets[0]) == same else traced[1]
    made, real = base.resized(outline(lambda: other.build(10, shape[2]))), traced[1].graph
    assert words(made) == words(real)
    assert c.arena(made, as_c=True).peak == c.arena(real, as_c=True).peak
    assert plan.macs(made) == plan.macs(real)
    assert plan.weight_bytes(made) == plan.weight_bytes(real)
    assert plan.network_bytes(made) == plan.network_bytes(real)
    assert c_constants.constant_bytes(made) == c_constants.constant_bytes(real)
    assert c_constants.program(traced[0].graph).kernels == c_constants.program(real).kernels


def test_another_stride_of_the_stem_is_the_same_structure() -> None:
    specs = [
        students.parse(f"mobilenet:width=8,depth=1,stem_stride={s},kernel={k}") for s, k in ((1, 3), (2, 5))
    ]
    nets = [spec.build(10, 3) for spec in specs]
    assert structure(nets[0]) == structure(nets[1])
    made = template(nets[0], (32, 32, 3), ()).resized(nets[1])
    assert words(made) == words(template(nets[1], (32, 32, 3), ()).graph)


def test_depth_is_another_structure() -> None:
    nets = [students.parse(f"resnet:width=8,depth={depth}").build(10, 3) for depth in (8, 14)]
    assert structure(nets[0]) != structure(nets[1])


@pytest.mark.parametrize("outputs", [1, 2, 3, 4, 7, 10])
@pytest.mark.parametrize("count", [1, 3, 4, 9, 27, 64])
def test_sizes_are_those_of_the_layouts(outputs: int, count: int) -> None:
    matrix = np.zeros((outputs, count), np.int8)
    assert c_constants.pairs_bytes(outputs, count) == len(layout.by_pairs(matrix))
    assert c_constants.fours_bytes(outputs, count) == len(layout.by_fours(matrix))
