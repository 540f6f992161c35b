"""The search space: every point is a student's spec, and its first corner is the smallest."""

import random

import pytest

from edgedistill import students
from edgedistill.errors import InputError, UnknownNameError
from edgedistill.sizing import space
from edgedistill.students.blocks import count_values
from edgedistill.tasks import TASKS


@pytest.mark.parametrize("family", space.SPACES)
def test_every_point_is_a_student_and_the_corner_is_the_smallest(family: str) -> None:
    rng = random.Random(1)
    least = count_values(students.parse(space.smallest(family)).build(2, 3))
    for _ in range(5):
        values = {axis.name: rng.choice(axis.values[:6]) for axis in space.axes(family)}
        spec = students.parse(space.spec(family, values))
        assert all(dict(spec.numbers)[name] >= value for name, value in values.items())
        assert count_values(spec.build(2, 3)) >= least


def test_no_stage_is_narrower_than_the_one_before() -> None:
    values = {"width": 32, "width2": 8, "width3": 40, "blocks1": 1, "head": 16, "kernel": 3}
    raised = "mobilenet:width=32,width2=32,width3=40,blocks1=1,head=40,kernel=3"
    assert space.spec("mobilenet", values) == raised
    assert space.spec("resnet", {"width": 4, "width2": 8}) == "resnet:width=4,width2=8"
    assert space.spec("dscnn", {"stem": 64, "width": 8, "depth": 2}) == "dscnn:stem=64,width=64,depth=2"


def test_every_family_of_a_task_can_be_searched() -> None:
    assert {family for task in TASKS.values() for family in task.students} <= set(space.SPACES)


@pytest.mark.parametrize(
    ("shape", "fixed", "sides"),
    [
        ((32, 32, 3), False, ()),
        ((96, 96, 3), False, (32, 48, 64, 80, 96)),
        ((96, 96, 3), True, ()),
        ((96, 64, 3), False, ()),
    ],
)
def test_only_larger_square_images_are_made_smaller(
    shape: tuple[int, int, int], fixed: bool, sides: tuple[int, ...]
) -> None:
    assert space.sides(shape, fixed=fixed) == sides


def test_a_resolution_is_part_of_the_spec() -> None:
    spec = students.parse(space.smallest("resnet", (32, 64)))
    assert spec.resolution == 32 and "resolution" not in dict(spec.numbers)
    assert [axis.name for axis in space.axes("resnet", (32, 64))][-1] == "resolution"


def test_families_are_the_tasks_unless_named() -> None:
    assert space.families((), ("resnet",)) == ("resnet",)
    assert space.families(("dscnn",), ("resnet",)) == ("dscnn",)
    with pytest.raises(UnknownNameError, match="did you mean resnet"):
        space.families(("resnett",), ())
    with pytest.raises(InputError, match="named twice"):
        space.families(("resnet", "resnet"), ())


def test_a_narrower_student_keeps_all_but_its_channels() -> None:
    spec = students.parse(
        "mobilenet:width=64,width2=128,width3=256,head=512,blocks2=3,kernel=5,stem_stride=2"
    )
    found = dict(space.narrower(spec).numbers)
    assert (found["blocks2"], found["kernel"], found["stem_stride"]) == (3, 5, 2)
    widths = [found[name] for name in ("head", "width", "width2", "width3")]
    assert len(set(widths)) == 4 and max(widths) <= 32
