"""Chooses the student's worst mistakes on test images, those it was surest of, and pictures them."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST = 24  # pictures: the page stays small
_SIDE = 64  # pixels of a picture's longer side, at least where it is enlarged


@dataclass(frozen=True)
class Mistake:
    """One test image that is answered wrongly; ``uri`` is a data URI, ``sure`` the answer's softmax 0..1."""

    index: int
    uri: str
    truth: str
    answer: str
    sure: float


def worst(
    answers: NDArray[np.int8],
    scale: float,
    images_NHWC: NDArray[np.uint8],
    labels: NDArray[np.int64],
    names: tuple[str, ...],
) -> tuple[Mistake, ...]:
    """The wrong answers with the highest softmax, the surest first, at most ``MOST``.

    Args:
        answers: int8 outputs [N, ..., classes] for the test images.
        scale: of the outputs; their zero point changes no softmax.
        images_NHWC: the test images.
        labels: their classes.
        names: of the classes.
    """
    logits = answers.reshape(len(labels), -1).astype(np.float64) * scale
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    sure = (exp / exp.sum(axis=1, keepdims=True)).max(axis=1)
    answer = logits.argmax(axis=1)
    wrong = np.flatnonzero(answer != labels)
    chosen = wrong[np.argsort(-sure[wrong], kind="stable")][:MOST]
    return tuple(
        Mistake(
            index=int(i),
            uri=_uri(np.asarray(images_NHWC[i])),
            truth=_name(names, int(labels[i])),
            answer=_name(names, int(answer[i])),
            sure=float(sure[i]),
        )
        for i in chosen
    )


def _name(names: tuple[str, ...], number: int) -> str:
    return names[number] if number < len(names) else str(number)


def _uri(image_HWC: NDArray[np.uint8]) -> str:
    """As a PNG; larger ones are made smaller, so that a page of them stays small."""
    from PIL import Image

    picture = Image.fromarray(image_HWC[..., 0] if image_HWC.shape[2] == 1 else image_HWC[..., :3])
    picture.thumbnail((_SIDE * 2, _SIDE * 2))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
