"""A build's choices: one strict TOML file, overridden by flags, written back resolved."""

from __future__ import annotations

import hashlib
import importlib.resources
import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedistill import units
from edgedistill.errors import InputError
from edgedistill.sections import (
    AdversarialSection,
    BenchSection,
    DataSection,
    DistillSection,
    ExportSection,
    LossSection,
    MemberSection,
    QuantiseSection,
    Recipe,
    SizingSection,
    StudentSection,
    SynthesisSection,
    TeacherSection,
)
from edgedistill.tables import keys, parse_toml, read_text, unknown_key, validate, write_toml
from edgedistill.target import Format, Target

if TYPE_CHECKING:
    from importlib.abc import Traversable


__all__ = [  # the sections are known by the recipe's module, too
    "AdversarialSection",
    "BenchSection",
    "DataSection",
    "DistillSection",
    "ExportSection",
    "LossSection",
    "MemberSection",
    "QuantiseSection",
    "Recipe",
    "SizingSection",
    "StudentSection",
    "SynthesisSection",
    "TeacherSection",
]


def load(path: Path) -> Recipe:
    """Reads and checks a recipe file.

    Raises:
        InputError: it cannot be read, is not TOML, or has an unknown key or an impossible value.
    """
    return check(parse_toml(read_text(path, "recipe"), Recipe, str(path)), str(path))


def resolve(path: Path | None, overrides: Mapping[str, object]) -> Recipe:
    """The recipe file (or the defaults) with ``overrides`` by dotted key, such as ``distill.epochs``.

    Raises:
        InputError: as ``load``, or an override that names no key or has an impossible value.
    """
    values: dict[str, Any] = json.loads((load(path) if path else Recipe()).model_dump_json())
    known = set(keys(Recipe))
    for key, value in overrides.items():
        section, _, name = key.rpartition(".")
        if "[" in key:
            raise InputError(
                f"{key!r} is an entry of a list",
                where="command line",
                fix="write it in a recipe file (--recipe), or give the whole list",
            )
        if key not in known and section != "budget":
            raise unknown_key(key, Recipe, "command line")
        inner = values.setdefault(section, {}) if section else values
        inner[name] = value
    return check(validate(values, Recipe, "command line"), "command line")


def builtin_models() -> Traversable:
    """The folder of built-in models, in an installed package or a source checkout."""
    if importlib.util.find_spec("edgedistill.builtin") is not None:
        return importlib.resources.files("edgedistill.builtin")
    return Path(__file__).resolve().parents[1] / "models"


def example() -> Path:
    """The recipe of the built-in example: digits, taught by the teacher that comes with the package."""
    return Path(str(builtin_models() / "digits" / "recipe.toml"))


def budget(recipe: Recipe) -> dict[str, float]:
    """The limits as numbers: latency in ms, memories in bytes, energy in mJ, counts, accuracy 0..1."""
    return units.parse_limits(recipe.budget, where="budget")


def formats(recipe: Recipe, device: Target) -> tuple[Format, ...]:
    """What is exported for a device: the recipe's own list, or else what the device wants.

    A microcontroller gets C, and ONNX and TFLite to compare it with on this machine; a device with an
    accelerator of its own gets what that takes.
    """
    if recipe.export.formats is not None:
        return recipe.export.formats
    if device.npu is not None:
        return device.formats.value
    return ("c", "onnx", "tflite") if device.wants("c") else ("onnx", "tflite", "coreml")


def check_family(recipe: Recipe, devices: Sequence[Target]) -> None:
    """A family other than F is of C files, which one of the devices must want.

    Raises:
        InputError: no device does.
    """
    if recipe.export.family != "F" and not any("c" in formats(recipe, device) for device in devices):
        raise no_c(recipe.export.family, "export.family")


def no_c(family: str, where: str) -> InputError:
    """A family was chosen, and no C is written."""
    return InputError(
        f"family {family} is the arithmetic of C files, and C is not among the formats",
        where=where,
        fix="add c to the formats, as in --formats c,tflite, or choose a microcontroller as the target",
    )


def to_toml(recipe: Recipe) -> str:
    """The recipe with its defaults written out, but for choices that few make; ``load`` gives it back."""
    return write_toml(recipe.model_dump(mode="json", exclude_none=True))


def sha256(recipe: Recipe) -> str:
    """Of the resolved recipe: two files that say the same have the same hash."""
    return hashlib.sha256(to_toml(recipe).encode()).hexdigest()


def json_schema() -> dict[str, Any]:
    """What a recipe file may say, for editors that check TOML against a JSON schema."""
    return Recipe.model_json_schema()


def check(recipe: Recipe, where: str = "recipe") -> Recipe:
    """The recipe, held against what its keys' types cannot say.

    Raises:
        InputError: choices that contradict one another.
    """
    units.parse_limits(recipe.budget, where=f"{where}, budget")
    if recipe.student.spec != "auto" and recipe.sizing.search in ("quick", "thorough"):
        raise InputError(
            f"the student is named, so there is nothing to search: {recipe.student.spec}",
            where=f"{where}, student.spec and sizing.search",
            fix='leave the student out, or sizing.search = "none"',
        )
    if not recipe.targets:
        raise InputError("no target is named", where=f"{where}, targets", fix='targets = ["android-arm64"]')
    if len(set(recipe.targets)) != len(recipe.targets):
        raise InputError("a target is named twice", where=f"{where}, targets", fix="name each target once")
    if recipe.export.formats == ():
        raise InputError("no format is asked for", where=f"{where}, export.formats", fix='formats = ["onnx"]')
    units.parse_bytes(recipe.distill.cache_limit, where=f"{where}, distill.cache_limit")
    _check_teachers(recipe, where)
    _check_labels(recipe, where)
    if recipe.distill.losses and not any(loss.weight for loss in recipe.distill.losses):
        raise InputError(
            "every weight is 0, so nothing would be learned",
            where=f"{where}, distill.losses[].weight",
            fix="give at least one loss a weight above 0",
        )
    return recipe


def _check_teachers(recipe: Recipe, where: str) -> None:
    if recipe.teachers == ():
        raise InputError("no teacher is named", where=f"{where}, teachers", fix="leave the key out")
    if recipe.teachers and recipe.teacher != TeacherSection():
        raise InputError(
            "there are one teacher and several",
            where=f"{where}, teacher and teachers",
            fix="make the one an entry of [[teachers]], or leave [[teachers]] out",
        )
    if recipe.distill.combine and not recipe.teachers:
        raise InputError(
            "there is one teacher, so nothing is combined",
            where=f"{where}, distill.combine",
            fix="name several in [[teachers]], or leave combine out",
        )


def _check_labels(recipe: Recipe, where: str) -> None:
    """What needs real labels or real images where there are none."""
    if recipe.bench.baseline and (recipe.data.synthetic or recipe.data.unlabelled is not None):
        raise InputError(
            "without real labels there is no training without the teacher",
            where=f"{where}, bench.baseline",
            fix="leave it out, or give data.source without data.unlabelled",
        )
    if recipe.data.synthetic and recipe.data.test is not None:
        for key in ("assistants", "generations"):
            if getattr(recipe.distill, key) is not None:
                raise InputError(
                    "real test images are read after all training, too late for those before the student",
                    where=f"{where}, distill.{key}",
                    fix=f"leave distill.{key} out, or data.test",
                )
    if recipe.data.synthetic and recipe.data.unlabelled is not None:
        raise InputError(
            "images are made from the teacher, so none are read",
            where=f"{where}, data.unlabelled",
            fix="leave it out, or give data in data.source",
        )
    if recipe.data.synthetic and (recipe.teachers or recipe.teacher.spec == "none"):
        raise InputError(
            "images are made from one teacher",
            where=f"{where}, data.source",
            fix="name it in [teacher], or give data",
        )
