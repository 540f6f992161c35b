"""Student families: functions of a few numbers, built from layers that the integer graph carries."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edgedistill.data import callables
from edgedistill.errors import InputError, UnknownNameError
from edgedistill.students import dscnn, mobilenet, residual

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Family:
    """A row: ``make(classes, channels, **numbers)`` with keyword-only integer or float numbers."""

    make: Callable[..., nn.Module]
    summary: str
    source: str

    def numbers(self) -> dict[str, float]:
        """The family's numbers with their defaults."""
        parameters = inspect.signature(self.make).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


STUDENTS: Mapping[str, Family] = {
    "resnet": Family(
        residual.residual_net,
        "residual network; width 16, depth 8 is the ResNet-8 of MLPerf Tiny",
        "He et al. 2015, section 4.2; Banbury et al. 2021, MLPerf Tiny",
    ),
    "mobilenet": Family(
        mobilenet.inverted_residual_net,
        "depthwise-separable inverted residuals with ReLU6",
        "Sandler et al. 2018, MobileNetV2",
    ),
    "dscnn": Family(
        dscnn.dscnn,
        "depthwise-separable convolutions over time and frequency, near the DS-CNN of MLPerf Tiny",
        "Zhang et al. 2017, Hello Edge; Banbury et al. 2021, MLPerf Tiny",
    ),
}


class Buildable(Protocol):
    """What makes an untrained network: float32 NCHW in, logits [N, classes] out."""

    def build(self, classes: int, channels: int) -> nn.Module:
        """The network for so many classes and input channels."""
        ...


@dataclass(frozen=True)
class StudentSpec:
    """``FAMILY[:k=v,...]`` taken apart; ``resolution`` belongs to the data, not to the network."""

    family: str
    numbers: tuple[tuple[str, float], ...]
    resolution: int | None

    def build(self, classes: int, channels: int) -> nn.Module:
        """The untrained network: float32 NCHW in, logits [N, classes] out."""
        if self.family not in STUDENTS:
            return _load_callable(self.family, classes, channels)
        return STUDENTS[self.family].make(classes, channels, **dict(self.numbers))


def parse(text: str) -> StudentSpec:
    """Reads ``FAMILY[:k=v,...]`` or ``module:callable``.

    Raises:
        UnknownNameError: no such family or number.
        InputError: a value that is not a number in the family's range.
    """
    family, _, options = text.partition(":")
    if family not in STUDENTS:
        if callables.looks_like(text):
            return StudentSpec(text, (), None)
        raise UnknownNameError("student", family, STUDENTS, where=f"student {text!r}")
    known = {**STUDENTS[family].numbers(), "resolution": 0}
    numbers: dict[str, float] = {}
    for pair in filter(None, options.split(",")):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if key not in known:
            raise UnknownNameError(f"number of student {family!r}", key, known, where=f"student {text!r}")
        try:
            number = float(value) if isinstance(known[key], float) else int(value)
        except ValueError:
            number = -1
        if not equals or not 0 < number <= 4096:
            raise InputError(
                f"{key}={value!r} is not a number above 0",
                where=f"student {text!r}",
                fix=f"for example {family}:{key}={known[key] or 32}",
            )
        numbers[key] = number
    resolution = numbers.pop("resolution", None)
    return StudentSpec(family, tuple(sorted(numbers.items())), int(resolution) if resolution else None)


def _load_callable(spec: str, classes: int, channels: int) -> nn.Module:
    from torch import nn

    make = callables.find(spec, InputError, where=f"student {spec!r}")
    try:
        net = make(classes=classes, channels=channels)
    except Exception as error:  # the user's own code runs here: whatever it raises is told as its fault
        raise InputError(
            f"calling {spec} failed: {type(error).__name__}: {error}",
            where=f"student {spec!r}",
            fix="it is called with classes=... and channels=... and returns a torch.nn.Module",
        ) from error
    if not isinstance(net, nn.Module):
        raise InputError(f"{spec!r} returned {type(net).__name__}, not a torch.nn.Module", where="student")
    return net
