"""The mix of losses that a training follows: its entries with their taps, projectors and memory banks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from edgedistill.data.types import ImageData
from edgedistill.distill import taps
from edgedistill.distill.bank import Bank
from edgedistill.distill.branches import Branches, places
from edgedistill.distill.losses import LIMITS, LOSSES, WHOLE, Loss
from edgedistill.distill.mixup import Second
from edgedistill.distill.taps import Pair
from edgedistill.errors import InputError, UnknownNameError
from edgedistill.quant.execute import GraphNet
from edgedistill.recipe import DistillSection, LossSection
from edgedistill.teachers.types import Teacher

_PROBE = 2  # images that layers are looked at with


@dataclass(frozen=True, eq=False)
class Batch:
    """What a step knows before the student answers."""

    soft: Tensor | None  # the teacher's logits [N,C]
    labels: Tensor  # [N]
    indices: Tensor  # [N], places in the train split
    teacher: Mapping[str, Tensor]  # what its tapped layers answer, [N, ...]
    second: Second | None = None  # of mixed images
    images: Tensor | None = None  # this process's student input [N,C,H,W], for a teacher that learns along


class Term(nn.Module):
    """One entry of the mix; what is learned along with it are its parameters."""

    def __init__(self, entry: LossSection, pairs: tuple[Pair, ...] = ()) -> None:
        super().__init__()
        self.entry, self.row, self.pairs = entry, LOSSES[entry.name], pairs
        self.options = {**self.row.options, **entry.options}
        if self.row.tempered and entry.temperature is not None:
            self.options["temperature"] = entry.temperature
        self.learned = nn.ModuleList()  # one for each pair, or one for the logits

    def forward(self, out: Tensor, layers: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The loss before its weight; of several pairs of layers, the sum.

        Where images were mixed, a loss with labels is the sum of those with either's, by their shares:
        cross-entropy with mixed labels, as it is linear in them (Zhang et al. 2018).

        Args:
            out: the student's logits [N,C].
            layers: what its tapped layers answer.
        """
        second = batch.second
        if second is None or "labels" not in self.row.needs:
            return self._of_one_label(out, layers, batch)
        with_second = self._of_one_label(out, layers, replace(batch, labels=second.labels))
        return second.share * self._of_one_label(out, layers, batch) + (1 - second.share) * with_second

    def _of_one_label(self, out: Tensor, layers: Mapping[str, Tensor], batch: Batch) -> Tensor:
        if self.row.learned == "branches":
            *shallow, deepest = (layers[pair.student].float() * pair.scale for pair in self.pairs)
            answers = self.learned[0](shallow)
            return self.row.function(out, batch.labels, deepest.mean((2, 3)), answers, **self.options)
        if not self.pairs:
            return self._of_answers(out, batch)
        losses = [self._of_pair(i, layers, batch) for i in range(len(self.pairs))]
        return torch.stack(losses).sum()

    def _of_answers(self, out: Tensor, batch: Batch) -> Tensor:
        if self.row.learned == "bank":
            loss: Tensor = self.learned[0](out, batch.soft, batch.indices)
            return loss
        given = {"teacher logits": batch.soft, "labels": batch.labels, "pairs": batch.soft}
        return self.row.function(out, *(given[need] for need in self.row.needs), **self.options)

    def _of_pair(self, i: int, layers: Mapping[str, Tensor], batch: Batch) -> Tensor:
        pair = self.pairs[i]
        student = layers[pair.student].float() * pair.scale
        teachers = [batch.teacher[name] for name in pair.teachers]
        if self.row.learned == "bank":
            loss: Tensor = self.learned[i](student, teachers[0], batch.indices)
            return loss
        if self.row.kind == "relation":
            return self.row.function(student, teachers[0], **self.options)
        matched = [taps.same_sides(student, teacher) for teacher in teachers]
        if not self.row.learned:
            return self.row.function(*matched[0], **self.options)
        projectors = self.learned[i]
        assert isinstance(projectors, nn.ModuleList)
        projected = [project(own) for project, (own, _) in zip(projectors, matched, strict=True)]
        if self.row.learned == "projector":
            return self.row.function(projected[0], matched[0][1], **self.options)
        return self.row.function(student, projected, [other for _, other in matched], **self.options)


class LossMix(nn.Module):
    """The weighted sum that a training lowers."""

    def __init__(self, terms: Sequence[Term], teacher_shapes: taps.Shapes | None = None) -> None:
        super().__init__()
        self.parts = nn.ModuleList(terms)
        names = (name for term in self.terms for pair in term.pairs for name in pair.teachers)
        self.teacher_layers = {name: (teacher_shapes or {})[name] for name in names}  # and their shapes

    @property
    def terms(self) -> Iterator[Term]:
        """The entries with their networks."""
        for part in self.parts:
            assert isinstance(part, Term)
            yield part

    @property
    def student_layers(self) -> tuple[str, ...]:
        """Tapped layers of the student."""
        return tuple(dict.fromkeys(pair.student for term in self.terms for pair in term.pairs))

    @property
    def wants_logits(self) -> bool:
        """Whether a loss looks at the teacher's logits."""
        return any(not term.pairs and term.row.asks_teacher for term in self.terms)

    @property
    def taught(self) -> bool:
        """Whether the teacher is asked at all."""
        return self.wants_logits or bool(self.teacher_layers)

    def forward(
        self, out: Tensor, layers: Mapping[str, Tensor], batch: Batch, epoch: int | None
    ) -> dict[str, Tensor]:
        """Each entry's weighted loss by its name and place.

        Args:
            out: the student's logits [N,C].
            layers: what the student's tapped layers answer.
            epoch: from 0, for weights that rise; None: they have risen.
        """
        return {
            f"{term.entry.name} [{i}]": term(out, layers, batch) * _weight(term.entry, epoch)
            for i, term in enumerate(self.terms)
        }

    def in_graph(self, net: nn.Module, quantised: GraphNet, data: ImageData) -> None:
        """Moves the student's taps from ``net`` to the operators of its graph.

        Raises:
            InputError: a tapped layer is folded into another one there.
        """
        probe = np.asarray(data.train.images_NHWC[:_PROBE])
        for i, term in enumerate(self.terms):
            where = f"distill.losses[{i}].taps"
            if term.pairs:
                term.pairs = taps.in_graph(term.pairs, net, quantised, probe, where)


def _weight(entry: LossSection, epoch: int | None) -> float:
    if epoch is None or entry.warmup == 0:
        return entry.weight
    return entry.weight * min((epoch + 1) / entry.warmup, 1.0)


def simple(temperature: float, alpha: float) -> LossMix:
    """The default: Hinton's loss; plain training where alpha is 0, soft targets alone where it is 1."""
    section = DistillSection(temperature=temperature, alpha=alpha)
    return LossMix([Term(entry) for entry in entries(section)])


def entries(section: DistillSection) -> tuple[LossSection, ...]:
    """The entries with the section's temperature and Hinton's alpha where they name none of their own."""
    default = {0.0: "hard-labels", 1.0: "soft-targets"}.get(section.alpha, "hinton")
    return tuple(
        entry.model_copy(
            update={
                "temperature": entry.temperature or section.temperature,
                "options": {**({"alpha": section.alpha} if entry.name == "hinton" else {}), **entry.options},
            }
        )
        for entry in section.losses or (LossSection(name=default),)
    )


def asks_teacher(section: DistillSection) -> bool:
    """Whether a loss looks at more than labels."""
    return any(LOSSES[entry.name].asks_teacher for entry in entries(section))


def reads_temperature(section: DistillSection) -> bool:
    """Whether a loss takes the section's temperature: it softens, and has none of its own."""
    own = section.losses or entries(section)
    return any(LOSSES[entry.name].tempered and not (section.losses and entry.temperature) for entry in own)


def check(section: DistillSection) -> None:
    """What can be said of a recipe's losses without data and networks.

    Raises:
        InputError: an unknown loss or option, or a key that this loss has no use for.
    """
    for i, entry in enumerate(section.losses):
        where = f"distill.losses[{i}]"
        if entry.name not in LOSSES:
            raise UnknownNameError("loss", entry.name, LOSSES, where=f"{where}.name")
        row = LOSSES[entry.name]
        for name, value in entry.options.items():
            if name not in row.options:
                raise UnknownNameError(
                    f"option of the loss {entry.name!r}", name, row.options, where=f"{where}.options"
                )
            low, high = LIMITS.get(name, (-math.inf, math.inf))
            if not low <= value <= high or (name in WHOLE and value != int(value)):
                kind = "a whole number" if name in WHOLE else "a number"
                raise InputError(
                    f"{name} must be {kind} from {low:g} to {high:g}; it is {value:g}",
                    where=f"{where}.options",
                    fix=f"for example {name} = {row.options[name]:g}",
                )
        if entry.temperature is not None and not row.tempered:
            tempered = [name for name, other in LOSSES.items() if other.tempered]
            raise InputError(
                f"the loss {entry.name!r} has no temperature",
                where=f"{where}.temperature",
                fix=f"leave it out; losses with one: {', '.join(tempered)}",
            )
        if section.mixup is not None and row.learned == "bank":
            raise InputError(
                f"the loss {entry.name!r} remembers every example, and a mixed one is none of them",
                where=f"{where}.name",
                fix="leave distill.mixup out, or use another loss",
            )
        if entry.taps and row.kind == "response":
            raise InputError(
                f"the loss {entry.name!r} looks at answers, not at layers",
                where=f"{where}.taps",
                fix="leave taps out, or choose a feature or relation loss (edgedistill list losses)",
            )
    if section.cache_features and section.mixup is not None:
        raise InputError(
            "images are mixed anew in each batch, so the teacher's features cannot be cached",
            where="distill.cache_features",
            fix="cache_features = false, or leave distill.mixup out",
        )
    if section.cache_features and section.views == 0:
        raise InputError(
            "features can be cached with cached views only, and distill.views is 0",
            where="distill.cache_features",
            fix="set distill.views to 1 or more, or cache_features = false",
        )


def make(section: DistillSection, net: nn.Module, teacher: Teacher, data: ImageData, seed: int) -> LossMix:
    """The mix of a recipe for these networks and data.

    Args:
        net: the student; it is looked at with a few images if layers are tapped.
        seed: of the projectors' and banks' first values; torch's own generator stays as it is.

    Raises:
        InputError: as ``check``; a tap that does not exist or cannot be matched; labels that are missing.
    """
    check(section)
    probe = np.asarray(data.train.images_NHWC[:_PROBE])
    unlabelled = data.train.unlabelled
    terms = []
    own: taps.Shapes = {}  # of the student's layers and the teacher's, looked at when one is tapped
    others: taps.Shapes = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for i, entry in enumerate(entries(section)):
            where, row = f"distill.losses[{i}]", LOSSES[entry.name]
            if unlabelled and "labels" in row.needs:
                raise InputError(
                    f"the loss {entry.name!r} needs labels, and {unlabelled} of {len(data.train)} "
                    "training examples have none",
                    where=f"{where}.name" if section.losses else "distill.alpha",
                    fix="use losses that need no labels, such as soft-targets (edgedistill list losses)",
                )
            wanted = entry.taps or (("auto",) if row.kind in ("feature", "branch") else ())
            pairs: tuple[Pair, ...] = ()
            if wanted:
                own = own or taps.student_shapes(net, probe)
            if wanted and row.kind == "branch":
                pairs = places(wanted, own, f"{where}.taps")
            elif wanted:
                others = others or taps.teacher_shapes(teacher, probe)
                pairs = _pairs(wanted, row, own, others, where=f"{where}.taps")
            term = Term(entry, pairs)
            term.learned.extend(_learned(term, own, others, len(data.labels), len(data.train)))
            terms.append(term)
    return LossMix(terms, others)


def _pairs(
    wanted: Sequence[str], row: Loss, student: taps.Shapes, teacher: taps.Shapes, *, where: str
) -> tuple[Pair, ...]:
    pairs = taps.resolve(wanted, student, teacher, many=row.learned == "projectors", where=where)
    if row.kind == "feature":
        for pair in pairs:
            taps.check_shapes(pair, student, teacher, maps_only=not row.learned, where=where)
    return pairs


def _learned(
    term: Term, student: taps.Shapes, teacher: taps.Shapes, classes: int, examples: int
) -> Iterator[nn.Module]:
    """What is trained along: for each pair its projectors or its bank; for all of them the branches."""
    if not term.row.learned:
        return
    if not term.pairs:
        yield _bank(term, (classes,), (classes,), examples)
        return
    if term.row.learned == "branches":
        *shallow, deepest = (student[pair.student] for pair in term.pairs)
        yield Branches(shallow, deepest, classes)
        return
    for pair in term.pairs:
        own, others = student[pair.student], [teacher[name] for name in pair.teachers]
        if term.row.learned == "bank":
            yield _bank(term, own, others[0], examples)
        else:
            yield nn.ModuleList(_projector(own, other) for other in others)


def _projector(own: tuple[int, ...], other: tuple[int, ...]) -> nn.Module:
    """A 1x1 convolution between feature maps, a linear layer between vectors."""
    return nn.Conv2d(own[0], other[0], 1) if len(own) == 3 else nn.Linear(own[0], other[0])


def _bank(term: Term, own: tuple[int, ...], other: tuple[int, ...], examples: int) -> Bank:
    student, teacher = (shape[0] if len(shape) == 3 else int(np.prod(shape)) for shape in (own, other))
    return Bank(
        student,
        teacher,
        examples,
        dimension=int(term.options["dimension"]),
        negatives=int(term.options["negatives"]),
        tau=term.options["tau"],
        momentum=term.options["momentum"],
    )
