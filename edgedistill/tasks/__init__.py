"""What a domain needs: its data, its metric, its student families, its augmentations. Images come first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgedistill.recipe import Recipe


@dataclass(frozen=True)
class Task:
    """A row of the table; the first of ``students`` is the default one."""

    summary: str
    metric: str
    students: tuple[str, ...]
    losses: tuple[str, ...]
    examples: str  # what one calls them
    augmentations: tuple[str, ...] | None = None  # None: DataSection says it


TASKS: Mapping[str, Task] = {
    "image-classification": Task(
        summary="one label per image; input int8 q = pixel - 128, NHWC",
        metric="top-1 accuracy",
        students=("resnet", "mobilenet"),
        losses=("hinton", "hard-labels"),
        examples="images",
    ),
    "keyword-spotting": Task(
        summary="one label per second of sound; input int8 q = feature - 128, 49 frames of 40 log-mel bands",
        metric="top-1 accuracy on speakers that no training heard",
        students=("dscnn", "resnet", "mobilenet"),
        losses=("hinton", "hard-labels"),
        examples="clips",
        augmentations=("time-shift", "speed", "noise", "gain", "spec-augment"),
    ),
}


def resolved(recipe: Recipe, task: str) -> Recipe:
    """The recipe with the task's student and augmentations where it names none."""
    row = TASKS[task]
    changes: dict[str, object] = {}
    if recipe.student.spec == "auto":
        changes["student"] = recipe.student.model_copy(update={"spec": row.students[0]})
    if recipe.data.augment is None and row.augmentations is not None:
        changes["data"] = recipe.data.model_copy(update={"augment": row.augmentations})
    return recipe.model_copy(update=changes) if changes else recipe
