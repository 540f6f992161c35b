"""Taps: which layers of the student learn from which layers of the teacher, by name or by resolution."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from edgedistill.distill.evaluate import to_input
from edgedistill.errors import InputError
from edgedistill.quant.execute import GraphNet
from edgedistill.teachers.hooks import watching
from edgedistill.teachers.types import Teacher

Shapes = Mapping[str, tuple[int, ...]]  # of every layer, without the batch, in the order of execution
_NEAREST = 4  # names offered for one that does not exist


@dataclass(frozen=True)
class Pair:
    """A layer of the student and the layers of the teacher that it learns from.

    ``scale`` is what the student's values there are multiplied by: in int8 training they are whole numbers.
    """

    student: str
    teachers: tuple[str, ...]
    scale: float = 1.0


def student_shapes(net: nn.Module, images_NHWC: NDArray[np.uint8]) -> Shapes:
    """The answers of every layer of ``net`` to a few images."""
    return {name: tuple(value.shape[1:]) for name, value in _answers(net, to_input(images_NHWC)).items()}


def teacher_shapes(teacher: Teacher, images_NHWC: NDArray[np.uint8]) -> Shapes:
    """The answers of every layer of ``teacher`` to a few images.

    Raises:
        InputError: this kind of teacher shows no layers.
    """
    if teacher.inside is None:
        raise InputError(
            "the layers of this teacher cannot be seen",
            where=f"teacher {teacher.name}, distill.losses",
            fix="give the teacher as weights with their architecture, as a Python callable or as ONNX; "
            "or use losses on its answers alone (edgedistill list losses)",
        )
    return {name: value.shape[1:] for name, value in teacher.inside(images_NHWC, None).features.items()}


def stages(shapes: Shapes) -> dict[tuple[int, ...], str]:
    """The last layer of every spatial resolution (H, W), in the order of execution."""
    last = {shape[1:]: name for name, shape in shapes.items() if len(shape) == 3}
    order = list(shapes)
    return dict(sorted(last.items(), key=lambda item: order.index(item[1])))


def resolve(
    texts: Sequence[str], student: Shapes, teacher: Shapes, *, many: bool, where: str
) -> tuple[Pair, ...]:
    """The pairs that a recipe's ``taps`` name.

    Args:
        texts: ``auto`` (the last layer of every resolution that both networks have), ``last``
            (of the last such resolution), or ``STUDENT <- TEACHER`` with layers' names;
            ``STUDENT <- TEACHER + TEACHER`` for a loss that takes several.
        many: whether the loss takes several; then ``auto`` teaches the last stage by all.

    Raises:
        InputError: no such layer (the nearest are offered), or no resolution in common.
    """
    pairs: list[Pair] = []
    for text in texts:
        if text in ("auto", "last"):
            found = _by_resolution(student, teacher, where)
            if many:
                found = (Pair(found[-1].student, tuple(t for pair in found for t in pair.teachers)),)
            pairs += found if text == "auto" else found[-1:]
            continue
        own, arrow, others = (part.strip() for part in text.partition("<-"))
        names = tuple(name.strip() for name in others.split(" + "))
        if not arrow or not own or not all(names):
            raise InputError(
                f"{text!r} names no pair of layers",
                where=where,
                fix='write "auto", "last" or "STUDENT_LAYER <- TEACHER_LAYER"',
            )
        if len(names) > 1 and not many:
            raise InputError(
                f"{text!r} names {len(names)} teacher layers for a loss that takes one",
                where=where,
                fix="give each its own tap, or use the loss many-to-one",
            )
        known(own, student, "student", where)
        for name in names:
            known(name, teacher, "teacher", where)
        pairs.append(Pair(own, names))
    return tuple(pairs)


def _by_resolution(student: Shapes, teacher: Shapes, where: str) -> tuple[Pair, ...]:
    own, others = stages(student), stages(teacher)
    common = [size for size in own if size in others]
    if not common:
        lists = (
            f"{whose}: {', '.join(_shown(name, shapes) for name in found.values()) or 'no feature maps'}"
            for whose, found, shapes in (("student", own, student), ("teacher", others, teacher))
        )
        raise InputError(
            f"no layer of the student has the resolution of a layer of the teacher; {'; '.join(lists)}",
            where=where,
            fix='name the layers: taps = ["STUDENT_LAYER <- TEACHER_LAYER"]',
        )
    return tuple(Pair(own[size], (others[size],)) for size in common)


def known(name: str, shapes: Shapes, whose: str, where: str) -> None:
    """Whether there is such a layer.

    Raises:
        InputError: there is none; the nearest names are offered.
    """
    if name in shapes:
        return
    near = difflib.get_close_matches(name, shapes, n=_NEAREST, cutoff=0.4) or list(stages(shapes).values())
    raise InputError(
        f"the {whose} has no layer {name!r}",
        where=where,
        fix=f"nearest: {', '.join(_shown(n, shapes) for n in near)}",
    )


def check_shapes(pair: Pair, student: Shapes, teacher: Shapes, *, maps_only: bool, where: str) -> None:
    """Two feature maps whose sides are whole multiples, or (unless ``maps_only``) two vectors.

    Raises:
        InputError: the shapes cannot be matched; both layers are named.
    """
    own = student[pair.student]
    for name in pair.teachers:
        other = teacher[name]
        maps = len(own) == len(other) == 3
        fits = maps and all(max(a, b) % min(a, b) == 0 for a, b in zip(own[1:], other[1:], strict=True))
        vectors = len(own) == len(other) == 1 and not maps_only
        if not fits and not vectors:
            raise InputError(
                f"the student's {_shown(pair.student, student)} and the teacher's {_shown(name, teacher)} "
                "cannot be matched",
                where=where,
                fix="pair feature maps [C,H,W] whose sides are whole multiples"
                + ("" if maps_only else ", or vectors [D]"),
            )


def same_sides(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two feature maps with the larger one averaged to the smaller one's sides; vectors as they are."""
    if a.ndim != 4 or a.shape[2:] == b.shape[2:]:
        return a, b
    size = (min(a.shape[2], b.shape[2]), min(a.shape[3], b.shape[3]))
    return F.adaptive_avg_pool2d(a, size), F.adaptive_avg_pool2d(b, size)


def in_graph(
    pairs: Sequence[Pair], net: nn.Module, quantised: GraphNet, images_NHWC: NDArray[np.uint8], where: str
) -> tuple[Pair, ...]:
    """The pairs with the layers of ``net`` replaced by the operators of its graph that answer the same.

    Raises:
        InputError: an operator for it is no more, because it was folded into the next one.
    """
    x = to_input(images_NHWC)
    layers, values = _answers(net, x), _answers(GraphNet(quantised.graph), x)
    found = []
    for pair in pairs:
        layer = layers[pair.student]
        same = [name for name, value in values.items() if _alike(value, layer)]
        if not same:
            near = [n for n, v in layers.items() if any(_alike(v, value) for value in values.values())]
            raise InputError(
                f"the student's layer {pair.student!r} is folded into another one in int8 training",
                where=where,
                fix=f"tap behind BatchNorm and activation; layers that remain: {', '.join(near)}",
            )
        found.append(replace(pair, student=same[-1], scale=quantised.scale_of(same[-1])))
    return tuple(found)


def _alike(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max()))


@torch.no_grad()
def _answers(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """What every layer answers in evaluation mode; the net's mode is restored."""
    training = net.training
    net.eval()
    with watching(net, None) as seen:
        net(x)
    net.train(training)
    return dict(seen)


def _shown(name: str, shapes: Shapes) -> str:
    return f"{name} [{','.join(map(str, shapes[name]))}]"
