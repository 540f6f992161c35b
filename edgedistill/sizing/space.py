"""The search space: of each student family the numbers that matter, smallest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edgedistill.errors import InputError, UnknownNameError
from edgedistill.students import StudentSpec

SIDES = (32, 48, 64, 80, 96, 128, 160, 192, 224)
"""Sides of input images that are tried where the data's own are larger, in pixels."""

_WIDTHS = (4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128)
_WIDER = (*_WIDTHS[1:], 160, 192, 224, 256)
_WIDEST = (*_WIDER[1:], 320, 384, 448, 512)
"""Multiples of 4: kernels compute channels by fours (export/c/kernels), SIMD lanes by as many or more."""

_RISING = ("stem", "width", "width2", "width3", "head")
"""Numbers of channels, from the input to the output."""


@dataclass(frozen=True)
class Axis:
    """A number of a family and its values; the first one makes the smallest student."""

    name: str
    values: tuple[int, ...]


SPACES: Mapping[str, tuple[Axis, ...]] = {
    "resnet": (
        Axis("width", _WIDTHS),
        Axis("width2", _WIDER),
        Axis("width3", _WIDEST),
        Axis("blocks1", (1, 2, 3)),
        Axis("blocks2", (1, 2, 3)),
        Axis("blocks3", (1, 2, 3)),
    ),
    "mobilenet": (
        Axis("stem_stride", (2, 1)),
        Axis("width", _WIDTHS),
        Axis("width2", _WIDER),
        Axis("width3", _WIDEST),
        Axis("head", (8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)),
        Axis("blocks1", (1, 2)),
        Axis("blocks2", (1, 2, 3, 4)),
        Axis("blocks3", (1, 2, 3, 4)),
        Axis("expansion1", (1, 2, 3, 4)),
        Axis("expansion", (2, 3, 4, 5, 6)),
        Axis("kernel", (3, 5)),
    ),
    "dscnn": (
        Axis("stem", _WIDTHS),
        Axis("width", (*_WIDER, 320)),
        Axis("depth", (1, 2, 3, 4, 5, 6)),
        Axis("halvings", (3, 2, 1)),
    ),
}
"""By family. What the widths of stages, depth, kernel and expansion do: Sandler et al. 2018, section 4."""


def axes(family: str, sides: Sequence[int] = ()) -> tuple[Axis, ...]:
    """A family's numbers, and the side of its input where ``sides`` holds several, largest last."""
    found = SPACES[family]
    return (*found, Axis("resolution", tuple(sides))) if len(sides) > 1 else found


def spec(family: str, values: Mapping[str, int]) -> str:
    """A student's spec with these numbers, as --student takes it; no stage is narrower than the one before.

    A width that falls is raised to its predecessor's: networks whose widths do not fall from stage to stage
    are the better ones of equal cost (Radosavovic et al. 2020, RegNet, section 3.3, AnyNetX_D), and what
    ranks untrained students would rather have the first stages wide, where a channel costs most.
    """
    widest, sound = 0, {}
    for name, value in values.items():
        if name in _RISING:
            value = widest = max(value, widest)
        sound[name] = value
    return f"{family}:" + ",".join(f"{name}={value}" for name, value in sound.items())


def smallest(family: str, sides: Sequence[int] = ()) -> str:
    """The spec whose every number is the smallest: nothing in the space needs less of anything."""
    return spec(family, {axis.name: axis.values[0] for axis in axes(family, sides)})


def narrower(spec: StudentSpec) -> StudentSpec:
    """The same student with few channels, each number of channels another, in their order."""
    known = {axis.name for axis in SPACES.get(spec.family, ()) if max(axis.values) >= _WIDTHS[-1]}
    names = [name for name, _ in spec.numbers if name in known]
    less = dict(zip(names, range(8, 8 * len(names) + 8, 8), strict=False))
    return replace(spec, numbers=tuple((name, less.get(name, value)) for name, value in spec.numbers))


def sides(image_shape: tuple[int, int, int], *, fixed: bool) -> tuple[int, ...]:
    """Sides of the input that are searched; empty: the data's own alone.

    Args:
        image_shape: of the data as it is, (H, W, C).
        fixed: the user named a resolution, or the data has none to choose, as sound has.
    """
    height, width, _ = image_shape
    if fixed or height != width or height <= SIDES[0]:
        return ()
    return (*(side for side in SIDES if side < height), height)


def families(named: Sequence[str], usual: Sequence[str], where: str = "sizing.families") -> tuple[str, ...]:
    """The families to search: those that were named, or the task's usual ones.

    Raises:
        UnknownNameError: no such family.
        InputError: a family is named twice.
    """
    for name in named:
        if name not in SPACES:
            raise UnknownNameError("student family", name, SPACES, where=where)
    if len(set(named)) != len(named):
        raise InputError("a family is named twice", where=where, fix="name each family once")
    return tuple(named) or tuple(usual)
