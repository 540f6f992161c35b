"""Says before training where a teacher and a student fit badly: documented rules, pure functions of both."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgedistill import students
from edgedistill.data.types import ImageData
from edgedistill.distill import mix, taps
from edgedistill.errors import EdgeDistillError
from edgedistill.ir import plan
from edgedistill.ir.graph import Graph
from edgedistill.recipe import Recipe
from edgedistill.teachers.types import NOBODY, Sees, Teacher
from edgedistill.units import format_count

SIZE_RATIO = 1.5
CAPACITY_RATIO = 20
FEW_CLASSES = 2
_TRIED = 2  # images that show a teacher's layers

Size = tuple[int, int]  # H, W


@dataclass(frozen=True)
class Pairing:
    """What the rules look at: one teacher, one student, the data between them."""

    teacher: str
    teacher_parameters: int | None
    sees: Sees | None  # None: not known, as of a teacher that was put together in Python
    teacher_maps: tuple[Size, ...] | None  # sides of its feature maps; None: it shows no layers, or cannot
    student_spec: str
    student_parameters: int
    student_maps: tuple[Size, ...]
    image_shape: tuple[int, int, int]  # (H, W, C)
    classes: int
    assisted: bool  # there are assistants, or earlier generations
    inside: bool  # a loss looks at layers

    @property
    def times(self) -> float:
        """The teacher's parameters by the student's; 0: not known."""
        return (self.teacher_parameters or 0) / max(1, self.student_parameters)

    @property
    def common(self) -> tuple[Size, ...]:
        """Sides that feature maps of both have, in the student's order."""
        return tuple(size for size in self.student_maps if size in (self.teacher_maps or ()))


def guidance(graph: Graph, teacher: Teacher, data: ImageData, recipe: Recipe) -> tuple[str, ...]:
    """What the rules say, without a repeated sentence; empty where nothing differs badly.

    Args:
        graph: of the student, trained or not, float or integer.
        teacher: of several that answer as one, each is looked at.
        data: whose images both see; two of them are shown to the teacher for the shapes of its layers.
        recipe: spec of the student, losses, assistants.
    """
    members = teacher.members or (teacher,)
    pairings = [pairing(graph, one, data, recipe) for one in members if one is not NOBODY]
    said = (rule(pair) for pair in pairings for rule in RULES)
    return tuple(dict.fromkeys(text for text in said if text is not None))


def pairing(graph: Graph, teacher: Teacher, data: ImageData, recipe: Recipe) -> Pairing:
    """The facts of one teacher and the student."""
    maps = None
    if teacher.inside is not None:
        try:
            shown = taps.stages(taps.teacher_shapes(teacher, data.train.images_NHWC[:_TRIED]))
            maps = tuple((h, w) for h, w in shown)
        except EdgeDistillError:
            pass  # a loss that looks at its layers will say why it cannot
    shapes = (graph.tensors[name].shape for name in graph.activations()[1:])
    own = dict.fromkeys((s[1], s[2]) for s in shapes if len(s) == 4)
    losses = mix.entries(recipe.distill)
    return Pairing(
        teacher=teacher.name,
        teacher_parameters=teacher.parameters,
        sees=teacher.sees,
        teacher_maps=maps,
        student_spec=recipe.student.spec,
        student_parameters=plan.parameters(graph),
        student_maps=tuple(own),
        image_shape=data.image_shape,
        classes=len(data.labels),
        assisted=bool(recipe.distill.assistants or recipe.distill.generations),
        inside=any(loss.taps for loss in losses),
    )


def enlarged(pair: Pairing) -> str | None:
    """The teacher sees the images 1.5 times larger, or more.

    Reason: a network answers best where objects have about the size that they had in its training;
    ResNet-50 trained at 224 pixels is best tested at 288, 1.3 times (Touvron et al. 2019, Fixing the
    train-test resolution discrepancy). Enlarging adds no detail, and teacher and student should see the
    same image (Beyer et al. 2022, section 3.1).
    """
    ratio = _size_ratio(pair)
    if ratio is None or ratio < SIZE_RATIO:
        return None
    assert pair.sees is not None
    return (
        f"images of {_size(pair.image_shape)} are enlarged to {_size(pair.sees.shape)} for the teacher "
        f"{pair.teacher}: it sees no more detail than the student; if its accuracy here is poor, raise "
        "data.resolution or take a teacher of small images (edgedistill teach)"
    )


def reduced(pair: Pairing) -> str | None:
    """The teacher sees the images 1.5 times smaller, or more: the student is taught less than it could see.

    Reason: as of ``enlarged``.
    """
    ratio = _size_ratio(pair)
    if ratio is None or ratio > 1 / SIZE_RATIO:
        return None
    assert pair.sees is not None
    return (
        f"images of {_size(pair.image_shape)} are reduced to {_size(pair.sees.shape)} for the teacher "
        f"{pair.teacher}: the student's extra pixels cost time and memory and teach it nothing; "
        f"try --set data.resolution={pair.sees.shape[0]}"
    )


def other_channels(pair: Pairing) -> str | None:
    """The teacher takes three channels and the data have one, which is then repeated.

    Reason: the first layer and the normalisation of a teacher of colour images expect three different
    channels; three equal ones are grey images, which it has seldom seen.
    """
    if pair.sees is None or pair.sees.shape[2] == pair.image_shape[2]:
        return None
    return (
        f"the teacher {pair.teacher} takes {pair.sees.shape[2]} channels and the data have "
        f"{pair.image_shape[2]}, which is repeated; a teacher of such data will know more"
    )


def assumed_normalisation(pair: Pairing) -> str | None:
    """Nobody stated how the teacher's inputs were normalised.

    Reason: a network's answers degrade with every other mean and deviation than those of its training,
    silently; the constants that are assumed are those of most published weights.
    """
    if pair.sees is None or not pair.sees.assumed:
        return None
    return (
        f"how the images of the teacher {pair.teacher} were normalised is not stated, so {pair.sees.assumed} "
        "is assumed: set teacher.normalisation if it was trained with another mean and deviation"
    )


def too_large(pair: Pairing) -> str | None:
    """The teacher has 20 times the student's parameters or more, and there is no assistant.

    Reason: a student learns less from a teacher that is far larger (Mirzadeh et al. 2020, Improved
    Knowledge Distillation via Teacher Assistant; Cho & Hariharan 2019, On the Efficacy of Knowledge
    Distillation). The first let a network of a size in between learn first, whose accuracy lies about
    half way: ResNet-20 between ResNet-110 and ResNet-8, 22 times apart, and ResNet-8 reached 88.98 % on
    CIFAR-10. The second found chains of that kind ineffective, and a teacher stopped early a remedy. So
    this is advice to try, and only past the distance of that pair. The parameters of the assistant that
    is proposed are the geometric mean of both, by width: parameters grow with its square.
    """
    if pair.times < CAPACITY_RATIO or pair.assisted:
        return None
    assert pair.teacher_parameters is not None
    middle = math.sqrt(pair.teacher_parameters * pair.student_parameters)
    wider = _wider(pair.student_spec, math.sqrt(middle / pair.student_parameters))
    example = f', such as --set distill.assistants=["{wider}"]' if wider else " (distill.assistants)"
    return (
        f"the teacher {pair.teacher} has {pair.times:.0f} times the student's parameters "
        f"({format_count(pair.teacher_parameters)} and {format_count(pair.student_parameters)}): a teacher "
        f"assistant of about {format_count(middle)} in between may help{example}, or a smaller teacher, or "
        "one whose training was stopped early; both papers that say so disagree on assistants, so compare"
    )


def too_small(pair: Pairing) -> str | None:
    """The teacher has fewer parameters than its student.

    Reason: that can help, as in generations of the same network (Furlanello et al. 2018, Born-again
    networks), but nothing is compressed; most often a student or a teacher was mistaken.
    """
    if not 0 < pair.times < 1:
        return None
    return (
        f"the student has more parameters than its teacher {pair.teacher} "
        f"({format_count(pair.student_parameters)} and {format_count(pair.teacher_parameters or 0)}): "
        "a smaller student will hold what it knows"
    )


def few_classes(pair: Pairing) -> str | None:
    """There are two classes, and no loss looks at layers.

    Reason: what soft answers say beyond the label is how the other classes compare; with two classes
    there is one number, and little to learn from it (Müller, Kornblith & Hinton 2020, Subclass
    distillation).
    """
    if pair.classes > FEW_CLASSES or pair.inside or pair.teacher_maps is None:
        return None
    return (
        f"with {pair.classes} classes the teacher's answers say little more than the labels: let the student "
        f"learn from its layers as well{_matched(pair)}"
    )


def no_common_size(pair: Pairing) -> str | None:
    """A loss looks at layers, or the teacher is far larger, and no feature maps have the same sides.

    Reason: a feature loss compares maps position by position; ``taps = ["auto"]`` pairs the last layer of
    each resolution that both have (as FitNets, Romero et al. 2015, and attention transfer, Zagoruyko &
    Komodakis 2017, pair stages), and there is none.
    """
    if pair.teacher_maps is None or pair.common or not (pair.inside or pair.times >= CAPACITY_RATIO):
        return None
    own, others = (", ".join(map(_size, maps)) or "none" for maps in (pair.student_maps, pair.teacher_maps))
    fit = next(((a, b) for a in pair.student_maps for b in pair.teacher_maps if _multiple(a, b)), None)
    named = (
        f"; {_size(fit[0])} and {_size(fit[1])} can be matched by averaging, with both layers named in taps"
        if fit
        else "; losses on answers alone remain"
    )
    return f"no feature maps of student ({own}) and teacher ({others}) have the same sides{named}"


def layers_to_match(pair: Pairing) -> str | None:
    """The teacher is far larger, no loss looks at layers, and some could.

    Reason: hints from inside help thin, deep students that learn poorly from answers alone (Romero et al.
    2015, FitNets, section 2.2); the threshold is that of ``too_large``.
    """
    if pair.times < CAPACITY_RATIO or pair.inside or not pair.common or pair.classes <= FEW_CLASSES:
        return None
    return f"layers of student and teacher can be matched, too{_matched(pair)}"


Rule = Callable[[Pairing], "str | None"]
RULES: tuple[Rule, ...] = (
    too_large,
    too_small,
    enlarged,
    reduced,
    other_channels,
    assumed_normalisation,
    few_classes,
    layers_to_match,
    no_common_size,
)


def _size_ratio(pair: Pairing) -> float | None:
    """The teacher's sides by the images', of the side that differs more; None: not known."""
    if pair.sees is None:
        return None
    ratios = [a / b for a, b in zip(pair.sees.shape[:2], pair.image_shape[:2], strict=True)]
    return max(ratios, key=lambda ratio: abs(math.log(ratio)))


def _matched(pair: Pairing) -> str:
    if not pair.common:
        return ""
    sizes = ", ".join(map(_size, pair.common))
    return (
        f' (feature maps of {sizes}: losses = [{{name = "hinton"}}, {{name = "attention", taps = ["auto"]}}])'
    )


def _multiple(a: Size, b: Size) -> bool:
    return all(max(x, y) % min(x, y) == 0 for x, y in zip(a, b, strict=True))


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} x {shape[1]}"


def _wider(spec: str, factor: float) -> str | None:
    """The spec of the same family with its width times ``factor``; None: it has no width."""
    if spec.partition(":")[0] not in students.STUDENTS:
        return None
    parsed = students.parse(spec)
    numbers: Mapping[str, float] = {**students.STUDENTS[parsed.family].numbers(), **dict(parsed.numbers)}
    if "width" not in numbers:
        return None
    kept = {**dict(parsed.numbers), "width": max(1, round(numbers["width"] * factor))}
    return f"{parsed.family}:{','.join(f'{key}={value:g}' for key, value in kept.items())}"
