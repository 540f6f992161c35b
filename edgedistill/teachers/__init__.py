"""Teachers: whatever the network came as, uint8 images go in and float32 logits come out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.data import callables
from edgedistill.errors import TeacherError, UnknownNameError
from edgedistill.recipe import TeacherSection
from edgedistill.teachers import (
    builtin,
    checkpoint,
    exported,
    huggingface,
    keras,
    module,
    onnx,
    preprocess,
    timm,
)
from edgedistill.teachers.loaded import Loaded, Request, check_classes, tried
from edgedistill.teachers.types import Answers, Sees, Teacher, joined

__all__ = ["TEACHERS", "Teacher", "TeacherKind", "load"]


@dataclass(frozen=True)
class TeacherKind:
    """One kind of teacher: how it is written, what it is, what it needs beyond a plain installation."""

    spec: str
    purpose: str
    load: Callable[[Request], Loaded]
    needs: str = ""


TEACHERS: Mapping[str, TeacherKind] = {
    "digits": TeacherKind("digits", "built in: a small residual net for the built-in digits", builtin.load),
    "checkpoint": TeacherKind(
        "FILE.pt|.pth|.th|.ckpt|.safetensors@module:callable",
        "weights, and the function that builds their network",
        checkpoint.load,
    ),
    "exported": TeacherKind("FILE.pt2", "a network saved by torch.export", exported.load),
    "onnx": TeacherKind("FILE.onnx", "an ONNX model, run by ONNX Runtime", onnx.load),
    "timm": TeacherKind(
        "timm:NAME or timm:NAME@FILE",
        "a network of timm, pretrained or with weights of yours",
        timm.load,
        "edgedistill[timm]",
    ),
    "hf": TeacherKind(
        "hf:NAME or hf:FOLDER",
        "an image classifier of Hugging Face transformers",
        huggingface.load,
        "edgedistill[hf]",
    ),
    "keras": TeacherKind(
        "keras:FILE or keras:FOLDER", "a Keras model or a SavedModel", keras.load, "edgedistill[tensorflow]"
    ),
    "python": TeacherKind(
        "module:callable", "a function that returns a torch module with its weights", module.load
    ),
}


def load(
    section: TeacherSection, *, classes: int, image_shape: tuple[int, int, int], trust: bool = False
) -> Teacher:
    """The teacher of a recipe, tried on one image.

    Args:
        section: spec, normalisation, resolution, batch.
        classes: how many the data set has.
        image_shape: (H, W, C) of the images that it will get.
        trust: allow files whose reading can run code.

    Raises:
        TeacherError: a teacher that cannot be used, with the reason.
    """
    kind, body = kind_of(section.spec)
    loaded = TEACHERS[kind].load(Request(section.spec, body, classes, trust))
    channels = loaded.channels if loaded.channels is not None else image_shape[2]
    if image_shape[2] not in (channels, 1) or channels not in (1, 3):
        raise TeacherError(
            f"the teacher takes {channels} channel(s), the images have {image_shape[2]}",
            where=f"teacher {section.spec}",
            fix="use a teacher for colour images"
            if channels == 1
            else "use a teacher with 1 or 3 input channels",
        )
    before, fingerprint = preparation(loaded, section, channels)

    def answers(images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts = [
            loaded.forward(before(np.asarray(images_NHWC[start : start + section.batch])))
            for start in range(0, len(images_NHWC), section.batch)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, classes), dtype=np.float32)

    first = _try_out(answers, classes, image_shape, section)
    notes, soft = loaded.notes, are_probabilities(first)
    if soft:
        notes += ("the teacher answers with probabilities: their logarithms are taken as logits",)

    def logits(images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        return log_of(answers(images_NHWC))

    def inside(images_NHWC: NDArray[np.uint8], names: Sequence[str] | None) -> Answers:
        assert loaded.inside is not None
        parts = [
            loaded.inside(before(np.asarray(images_NHWC[start : start + section.batch])), names)
            for start in range(0, len(images_NHWC), section.batch)
        ]
        found = joined(parts)
        return Answers(log_of(found.logits), found.features) if soft else found

    return Teacher(
        loaded.name,
        logits if soft else answers,
        fingerprint,
        loaded.parameters,
        notes,
        None if loaded.inside is None else inside,
        sees=_sees(before, loaded, section, image_shape),
    )


def _sees(
    before: preprocess.Preprocess, loaded: Loaded, section: TeacherSection, image_shape: tuple[int, int, int]
) -> Sees:
    """What the network gets; this package trained its teachers with the normalisation that it assumes."""
    height, width = before.size if before.size is not None else image_shape[:2]
    own = section.spec == "digits" or f"@{__name__}." in section.spec
    says = loaded.mean_std is not None and len(loaded.mean_std[0]) == before.channels
    stated = own or says or section.normalisation != "auto"
    assumed = "" if stated else "ImageNet's" if before.channels == 3 else "(x - 0.5) / 0.5"
    return Sees((height, width, before.channels), assumed)


def preparation(loaded: Loaded, section: TeacherSection, channels: int) -> tuple[preprocess.Preprocess, str]:
    """What is done to images before a teacher of so many channels sees them, and the fingerprint of both."""
    size = (section.resolution, section.resolution) if section.resolution is not None else loaded.size
    mean, std = preprocess.parse(section.normalisation, channels, loaded.mean_std)
    before = preprocess.Preprocess(channels, size, mean, std)
    return before, hashlib.sha256(loaded.identity + f"{before}".encode()).hexdigest()


def log_of(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits of probabilities, but for a constant, which softmax ignores."""
    return np.asarray(np.log(np.maximum(probabilities, LEAST_PROBABILITY)), np.float32)


LEAST_PROBABILITY = np.float32(1e-7)


def are_probabilities(row: NDArray[np.float32]) -> bool:
    """Whether a teacher ends in softmax: log p is its logits but for a constant, which softmax ignores."""
    return bool(row.shape[-1] > 1 and (row >= 0).all() and abs(float(row.sum()) - len(row)) < 1e-3)


def kind_of(spec: str) -> tuple[str, str]:
    """(row of TEACHERS, spec without its kind)."""
    if spec == "digits":
        return "digits", spec
    prefix, colon, rest = spec.partition(":")
    if colon and prefix in ("timm", "hf", "keras"):
        return prefix, rest
    file = spec.rpartition("@")[0] or spec
    suffix = Path(file).suffix.lower()
    if suffix in checkpoint.SUFFIXES:
        return "checkpoint", spec
    if suffix == ".pt2":
        return "exported", spec
    if suffix == ".onnx":
        return "onnx", spec
    if callables.looks_like(spec):
        return "python", spec
    if Path(spec).exists() or "/" in spec:
        raise TeacherError(
            f"a {suffix or 'path without suffix'} is not a known kind of teacher",
            where=spec,
            fix="; ".join(f"{row.spec}: {row.purpose}" for row in TEACHERS.values()),
        )
    raise UnknownNameError("teacher", spec, [row.spec for row in TEACHERS.values()], where="teacher.spec")


def _try_out(
    logits: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    classes: int,
    image_shape: tuple[int, int, int],
    section: TeacherSection,
) -> NDArray[np.float32]:
    where = f"teacher {section.spec}"
    out = tried(
        lambda: logits(np.full((1, *image_shape), 128, dtype=np.uint8)),
        str(list(image_shape)),
        where,
        "set teacher.resolution to the size that it was trained on, or use a teacher for such images",
    )
    check_classes(
        out.shape, classes, where, "use a teacher trained on these classes, or a data set with the teacher's"
    )
    return out
