"""Teachers to be: the networks that edgedistill teach trains when there is no teacher yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedistill.data import callables
from edgedistill.errors import TeacherError, UnknownNameError
from edgedistill.recipe import DistillSection, TeacherSection
from edgedistill.teachers import module as modules
from edgedistill.teachers import preprocess, timm

if TYPE_CHECKING:
    from torch import nn

_ARCHITECTURES = "edgedistill.teachers.architectures"


@dataclass(frozen=True)
class Family:
    """A row: the function that builds the network, and the training that suits it."""

    function: str  # of architectures.py
    summary: str
    source: str
    training: DistillSection


def _training(
    epochs: int, batch: int, optimiser: str, lr: float, weight_decay: float, ema: float
) -> DistillSection:
    return DistillSection.model_validate(
        {
            "epochs": epochs,
            "batch": batch,
            "optimiser": optimiser,
            "lr": lr,
            "weight_decay": weight_decay,
            "ema": ema,
            "alpha": 0.0,
            "views": 0,
        }
    )


FAMILIES: Mapping[str, Family] = {
    "resnet56": Family(
        "cifar_resnet56",
        "residual, 0.86 M parameters, small colour images",
        "He et al. 2015, section 4.2",
        _training(60, 128, "sgd", 0.2, 5e-4, 0.999),
    ),
    "resnet20": Family(
        "cifar_resnet20",
        "residual, 0.27 M parameters, small colour images",
        "He et al. 2015, section 4.2",
        _training(60, 128, "sgd", 0.2, 5e-4, 0.999),
    ),
    "digits": Family(
        "digits_teacher",
        "residual, 0.09 M parameters, small grey images",
        "as the built-in teacher",
        _training(60, 64, "adamw", 4e-3, 1e-2, 0.99),
    ),
    "keyword": Family(
        "keyword_teacher",
        "residual, 0.17 M parameters, log-mel features of a second of sound",
        "as the kept keyword teacher",
        _training(25, 100, "muon", 0.04, 0.01, 0.98),
    ),
}
TUNED = _training(10, 64, "sgd", 0.02, 1e-4, 0.99)  # a network that comes with weights is changed gently


def auto(task: str, source: str) -> str:
    """The family for data of this task; grey images go through a network for colour ones three times."""
    if task == "keyword-spotting":
        return "keyword"
    return "digits" if source == "digits" else "resnet56"


def training(family: str) -> DistillSection:
    """What suits a family, or the fine-tuning of a network that the user brings."""
    return FAMILIES[family].training if family in FAMILIES else TUNED


@dataclass(frozen=True, eq=False)
class Beginner:
    """A network before its training, and how its weights are named as a teacher then."""

    net: nn.Module
    architecture: str  # module:callable, or timm:NAME
    before: preprocess.Preprocess

    def spec(self, file: Path) -> str:
        """What ``--teacher`` takes once the weights lie in ``file``."""
        if self.architecture.startswith("timm:"):
            return f"{self.architecture}@{file}"
        return f"{file}@{self.architecture}"


def begin(
    family: str, section: TeacherSection, *, classes: int, image_channels: int, pretrained: bool
) -> Beginner:
    """The network of a family, of ``timm:NAME``, or of the user's ``module:callable``.

    Args:
        section: normalisation and resolution.
        pretrained: whether a network of timm begins with the weights that timm has for it.

    Raises:
        TeacherError: it cannot be built, or does not take such images.
        UnknownNameError: no such family.
    """
    where = f"teacher family {family}"
    size, own = None, None
    if family.startswith("timm:"):
        architecture = family
        net = timm.create(family, family.removeprefix("timm:"), classes=classes, pretrained=pretrained)
        size, own, taken = timm.facts(net)
    elif family in FAMILIES or callables.looks_like(family):
        known = FAMILIES.get(family)
        architecture = f"{_ARCHITECTURES}:{known.function}" if known else family
        net = modules.build(architecture, classes, where=where)
        taken = modules.first_channels(net) or image_channels
    else:
        raise UnknownNameError("teacher family", family, [*FAMILIES, "timm:NAME", "module:callable"])
    if image_channels not in (taken, 1):
        raise TeacherError(
            f"the network takes {taken} channel(s), the images have {image_channels}",
            where=where,
            fix="use a network for colour images, such as --teacher-family resnet56",
        )
    if section.resolution is not None:
        size = (section.resolution, section.resolution)
    mean, std = preprocess.parse(section.normalisation, taken, own)
    return Beginner(net, architecture, preprocess.Preprocess(taken, size, mean, std))


def as_student(beginner: Beginner) -> nn.Module:
    """The network behind its own normalisation: it takes the training loop's input, (pixel - 128) / 64."""
    from torch import Tensor, nn

    before, layout = beginner.before, modules.fast_layout(beginner.net)

    class Normalised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = beginner.net

        def to(self, *args: Any, **kwargs: Any) -> Normalised:
            """Never to a layout in which one of the layers is not safe: see module.fast_layout."""
            if "memory_format" in kwargs:
                kwargs["memory_format"] = layout
            return super().to(*args, **kwargs)

        def forward(self, x: Tensor) -> Tensor:  # [N,C,H,W] -> [N,classes]
            pixels = (x.contiguous(memory_format=layout) * 64 + 128) / 255  # as distill.evaluate.to_pixels
            x = preprocess.differentiable(before, pixels)
            return modules.first_tensor(self.net(x), beginner.architecture)

    return Normalised()
