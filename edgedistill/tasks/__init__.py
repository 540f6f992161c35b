"""What a domain needs: its data, its metric, its student families. Image classification comes first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """A row of the table."""

    summary: str
    metric: str
    students: tuple[str, ...]
    losses: tuple[str, ...]


TASKS: Mapping[str, Task] = {
    "image-classification": Task(
        summary="one label per image; input int8 q = pixel - 128, NHWC",
        metric="top-1 accuracy",
        students=("resnet", "mobilenet"),
        losses=("hinton", "hard-labels"),
    ),
}
