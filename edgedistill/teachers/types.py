"""What the rest of the project knows of a teacher: uint8 images in, float32 logits out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Answers:
    """logits float32 [N, classes], and what layers answered, float32 [N, ...], by their names."""

    logits: NDArray[np.float32]
    features: Mapping[str, NDArray[np.float32]]


# images uint8 [N,H,W,C] and names of layers (None: every one, in the order of execution)
Inside = Callable[[NDArray[np.uint8], Sequence[str] | None], Answers]


@dataclass(frozen=True)
class Sees:
    """What reaches a teacher's network: (H, W, C), and the normalisation that nobody stated, in words."""

    shape: tuple[int, int, int]
    assumed: str = ""


@dataclass(frozen=True, eq=False)
class Teacher:
    """``logits(images uint8 [N,H,W,C]) -> float32 [N, classes]``; normalisation and resizing are inside.

    ``fingerprint`` is a sha256 of weights, architecture and normalisation (it keys the soft-target cache).
    """

    name: str
    logits: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    fingerprint: str
    parameters: int | None = None
    notes: tuple[str, ...] = ()  # what loading found: nested state dict, stripped prefix, ...
    inside: Inside | None = None  # None: this kind of teacher shows no layers
    members: tuple[Teacher, ...] = ()  # of several that answer as one
    # the same teacher, told labels int64 [N] of the images to come (-1: none); None: it has no use for them
    knowing: Knowing | None = None
    sees: Sees | None = None  # None: not known


Knowing = Callable[[NDArray[np.int64]], Teacher]


def joined(parts: Sequence[tuple[NDArray[np.float32], Mapping[str, NDArray[np.float32]]]]) -> Answers:
    """One answer of those to the parts of a batch."""
    names = parts[0][1]
    features = {name: np.concatenate([part[1][name] for part in parts]) for name in names}
    return Answers(np.concatenate([part[0] for part in parts]), features)


def _nothing(images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    raise AssertionError("hard labels need no teacher")


NOBODY = Teacher("none", _nothing, "none")  # of trainings whose losses ask no teacher
