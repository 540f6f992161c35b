"""Branches of one network: a bottleneck and a classifier at its shallow layers, while it trains."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from edgedistill.distill import taps
from edgedistill.distill.taps import Pair, Shapes
from edgedistill.errors import InputError

_NARROWER = 4  # a bottleneck's inner width: this part of the deepest channels (He et al. 2015, figure 5)


class Branches(nn.Module):
    """A branch for each shallow layer: bottleneck to the deepest layer's channels, average, classifier.

    Zhang et al. 2019 (BYOT), section 3 and figure 2. They train along and are left behind.

    Args:
        shallow: shapes [C,H,W] of the layers.
        deepest: shape of the layer that they learn from.
        classes: of the answers.
    """

    def __init__(self, shallow: Sequence[tuple[int, ...]], deepest: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.bottlenecks = nn.ModuleList(_bottleneck(shape, deepest) for shape in shallow)
        self.heads = nn.ModuleList(nn.Linear(deepest[0], classes) for _ in shallow)

    def forward(self, layers: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """(logits [N,classes], feature [N,D]) of each branch. layers [N,C,H,W]."""
        features = [squeeze(x).mean((2, 3)) for squeeze, x in zip(self.bottlenecks, layers, strict=True)]
        return [(head(feature), feature) for head, feature in zip(self.heads, features, strict=True)]


def _bottleneck(own: tuple[int, ...], deepest: tuple[int, ...]) -> nn.Module:
    """1x1 to few channels, a convolution that strides to the deepest layer's sides, 1x1 to its channels."""
    inner = max(deepest[0] // _NARROWER, 1)
    stride = (max(own[1] // deepest[1], 1), max(own[2] // deepest[2], 1))
    return nn.Sequential(
        *(nn.Conv2d(own[0], inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU()),
        *(nn.Conv2d(inner, inner, stride, stride, bias=False), nn.BatchNorm2d(inner), nn.ReLU()),
        *(nn.Conv2d(inner, deepest[0], 1, bias=False), nn.BatchNorm2d(deepest[0]), nn.ReLU()),
    )


def places(wanted: Sequence[str], student: Shapes, where: str) -> tuple[Pair, ...]:
    """The shallow layers that get a branch, and behind them the deepest feature map.

    Args:
        wanted: names of layers; ``auto``: the last layer of every resolution but the deepest one's,
            ``last``: of the last of these.
        student: the shapes of its layers.

    Raises:
        InputError: no such layer, one that is no feature map, or nothing shallower than the deepest.
    """
    maps = [name for size, name in taps.stages(student).items() if math.prod(size) > 1]
    found: list[str] = []
    for text in wanted:
        if text not in ("auto", "last"):
            taps.known(text, student, "student", where)
        found += {"auto": maps[:-1], "last": maps[-2:-1]}.get(text, [text])
    order = list(student)
    flat = [name for name in found if len(student[name]) != 3 or math.prod(student[name][1:]) == 1]
    late = [name for name in found if maps and order.index(name) >= order.index(maps[-1])]
    if flat or late or not found:
        named = f"{flat[0]} is no feature map [C,H,W]" if flat else "no layer is shallower than the deepest"
        raise InputError(
            f"a branch has no place: {named}",
            where=where,
            fix=f"name layers before {maps[-1]}, as in taps = [{', '.join(map(repr, maps[:-1])) or '...'}]"
            if maps
            else "this loss needs a student with feature maps",
        )
    return tuple(Pair(name, ()) for name in (*dict.fromkeys(found), maps[-1]))
