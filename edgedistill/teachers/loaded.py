"""What each kind of teacher hands over: a function on normalised pixels, and what it knows of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import TeacherError

if TYPE_CHECKING:
    from torch import nn

T = TypeVar("T")
Array = NDArray[np.float32]
Forward = Callable[[Array], Array]  # [N,C,H,W] -> [N,classes]
# the same with the answers of the named layers (None: every layer): logits, {layer: [N, ...]}
Inside = Callable[[Array, Sequence[str] | None], tuple[Array, Mapping[str, Array]]]


@dataclass(frozen=True)
class Request:
    """What is asked for. ``body`` is the spec without its kind: the file, the name, module:callable."""

    spec: str
    body: str
    classes: int
    trust: bool


@dataclass(frozen=True, eq=False)
class Loaded:
    """A teacher before normalisation and resizing are put in front of it."""

    name: str
    forward: Forward
    identity: bytes  # sha256 of weights and architecture
    parameters: int | None = None
    channels: int | None = None  # None: whatever the images have
    size: tuple[int, int] | None = None  # (H, W) where the network takes one size only
    mean_std: tuple[tuple[float, ...], tuple[float, ...]] | None = None  # on x/255, where the network says so
    notes: tuple[str, ...] = ()
    inside: Inside | None = None  # None: its layers cannot be seen
    module: nn.Module | None = None  # None: it does not run in torch, or its layers are not known


def first_line(cause: Exception, length: int = 160) -> str:
    """What a foreign library said, short enough for a message."""
    text = str(cause).strip()
    return text.splitlines()[0][:length] if text else type(cause).__name__


def tried(answer: Callable[[], T], image: str, where: str, fix: str, who: str = "the teacher") -> T:
    """What a user's network answers to one image.

    Raises:
        TeacherError: it fails, whatever it raises.
    """
    try:
        return answer()
    except TeacherError:
        raise
    except Exception as cause:  # each library, and each user's module, raises its own kinds for a bad shape
        raise TeacherError(
            f"{who} fails on an image {image}: {first_line(cause)}", where=where, fix=fix
        ) from cause


def check_classes(shape: Sequence[int], classes: int, where: str, fix: str, who: str = "the teacher") -> None:
    """Holds the shape of what a network answers to one image against [1, classes].

    Raises:
        TeacherError: it is another one.
    """
    if tuple(shape) != (1, classes):
        raise TeacherError(
            f"{who} answers with shape {list(shape)} for one image, expected [1, {classes}]: "
            f"there are {classes} classes",
            where=where,
            fix=fix,
        )
