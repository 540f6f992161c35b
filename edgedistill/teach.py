"""The page of edgedistill teach: trains a teacher where there is none, and checks it as a build would."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

import edgedistill
from edgedistill import data as data_sets
from edgedistill import recipe as recipes
from edgedistill import record as records
from edgedistill import robustness, tasks, teachers
from edgedistill.bench.files import sha256_of
from edgedistill.bench.machine import machine, versions
from edgedistill.build import load_data
from edgedistill.data.types import ImageData
from edgedistill.deliver import Run
from edgedistill.distill import adversarial, parallel
from edgedistill.errors import InputError
from edgedistill.recipe import Recipe
from edgedistill.record import AttackedTeacher, EpochLog
from edgedistill.reporter import Reporter
from edgedistill.store import Store, atomic_write, check_writable, key
from edgedistill.teachers import families
from edgedistill.teachers.check import check
from edgedistill.teachers.families import Beginner
from edgedistill.teachers.loaded import check_classes, tried
from edgedistill.teachers.module import state_identity
from edgedistill.teachers.types import NOBODY
from edgedistill.training import distil

if TYPE_CHECKING:
    from torch import nn

_WEIGHTS = "teacher.safetensors"
_CLOSE = (
    1e-3  # of the trained net's answers, in which the loaded teacher's must lie: float32 in another order
)


class TeacherRecord(BaseModel):
    """teacher.json: what was trained, from what, and how good it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    edgedistill_version: str
    created_utc: str
    machine: str
    versions: dict[str, str]
    inputs: str  # the hash of everything that decides the weights
    spec: str  # what --teacher takes, as the output folder was written on the command line
    choices: dict[str, str]  # further keys of a recipe that this teacher needs
    architecture: str
    parameters: int
    data: str
    labels: tuple[str, ...]
    image_shape: tuple[int, ...]
    recipe: dict[str, object]
    accuracy: float  # top-1 share of test examples
    ece: float
    confidence: float | None
    test_examples: int
    validation_accuracy: float | None
    epochs: tuple[EpochLog, ...]
    sha256: str
    size_bytes: int
    robustness: AttackedTeacher | None = None  # None: no image was to be attacked
    warnings: tuple[str, ...] = ()


def choose(family: str, overrides: Mapping[str, object]) -> tuple[str, Recipe]:
    """The family, by the data where it is ``auto``, and its usual training with the user's keys over it."""
    recipe = recipes.resolve(None, overrides)
    if family == "auto":
        family = families.auto(data_sets.task_of(recipe.data.source), recipe.data.source)
    usual = families.training(family).model_dump(exclude_defaults=True)
    return family, recipes.resolve(None, {**{f"distill.{k}": v for k, v in usual.items()}, **overrides})


@parallel.joined()
def teach(
    recipe: Recipe,
    family: str,
    out: Path,
    *,
    pretrained: bool = True,
    fresh: bool = False,
    reporter: Reporter | None = None,
) -> TeacherRecord:
    """Trains ``family`` on the recipe's data with hard labels, or tunes the weights that it comes with.

    Args:
        recipe: data, distill (its epochs, rate and optimiser), seed, and teacher.normalisation.
        family: a row of teachers.families, ``timm:NAME`` or ``module:callable``.
        out: gets teacher.safetensors, card.md and teacher.json; the same call resumes there.
        pretrained: begin with timm's weights.

    Raises:
        InputError: something of the user's cannot be used (nothing has been trained then).
        GateError: the training diverged.
    """
    import torch

    recipe = tasks.resolved(recipe, data_sets.task_of(recipe.data.source))
    if recipe.adversarial.method not in ("none", "pgd"):
        raise InputError(
            f"a teacher learns from labels, {recipe.adversarial.method!r} from a teacher",
            where="adversarial.method",
            fix='adversarial.method = "pgd" makes a robust teacher from labels',
        )
    alone = {"alpha": 0.0, "views": 0, "losses": (), "assistants": None, "generations": None}
    hard = recipe.distill.model_copy(update=alone)
    recipe = adversarial.resolved(recipe.model_copy(update={"distill": hard}))
    run = Run(recipe, Store(out / ".cache"), parallel.voice(reporter))
    parallel.once(check_writable, out)
    with parallel.led(run.store.lock()):
        if fresh:
            parallel.once(run.store.clear)
        data = load_data(run, None)
        channels = data.image_shape[2]
        torch.manual_seed(recipe.seed)
        with parallel.leader_first():  # what is downloaded, is once
            beginner = families.begin(
                family,
                recipe.teacher,
                classes=len(data.labels),
                image_channels=channels,
                pretrained=pretrained,
            )
        net = families.as_student(beginner)
        _try_out(net, data, family)
        told = f"{beginner.architecture} {beginner.before}"
        begun = state_identity(beginner.net.state_dict(), told).hex()
        inputs = _inputs(recipe, data, begun)
        found = None if fresh else parallel.once(_finished, out, inputs)
        if found is not None:
            run.reporter.note("nothing to do: this teacher is trained from these data (see --fresh)")
            return found
        label = f"{family} ({begun[:8]})"  # keeps trainings apart that begin with other weights
        named = recipe.model_copy(update={"student": recipe.student.model_copy(update={"spec": label})})
        inner = Run(named, run.store, run.reporter)
        state, logs = distil(inner, _Once(net), data, NOBODY, title="teach")
        net.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state.items()})
        parallel.once(_save, beginner.net, out / _WEIGHTS)
        return parallel.once(_checked, run, beginner, net, data, out, inputs, logs)


@dataclass(frozen=True, eq=False)
class _Once:
    """The network that was begun, where the loop asks for a new one."""

    net: nn.Module

    def build(self, classes: int, channels: int) -> nn.Module:
        return self.net


def _try_out(net: nn.Module, data: ImageData, family: str) -> None:
    from edgedistill.distill.evaluate import logits

    where = f"teacher family {family}"
    answers = tried(
        lambda: logits(net, np.asarray(data.train.images_NHWC[:1])),
        str(list(data.image_shape)),
        where,
        "use a network for such images, or set data.resolution",
        "the network",
    )
    fix = "let its function take num_classes or classes"
    check_classes(answers.shape, len(data.labels), where, fix, "the network")


def _checked(
    run: Run,
    beginner: Beginner,
    net: nn.Module,
    data: ImageData,
    out: Path,
    inputs: str,
    logs: tuple[EpochLog, ...],
) -> TeacherRecord:
    """Loads the weights as a build will, checks that teacher on held-out examples, and writes its papers."""
    from edgedistill.distill.evaluate import logits

    recipe, path = run.recipe, out / _WEIGHTS
    spec = beginner.spec(path)
    run.reporter.stage("check", spec)
    section = recipe.teacher.model_copy(update={"spec": spec})
    classes = len(data.labels)
    teacher = teachers.load(section, classes=classes, image_shape=data.image_shape, trust=recipe.trust)
    report = check(teacher, data.test, data.labels, section.batch)
    few = np.asarray(data.test.images_NHWC[:64])
    trained = logits(net, few)
    worst = float(np.abs(teacher.logits(few) - trained).max() / max(1.0, float(np.abs(trained).max())))
    assert worst < _CLOSE, f"the loaded teacher answers otherwise than the trained one, by {worst}"
    examples = tasks.TASKS[data.task].examples
    run.tell_teacher(report, "test", examples)
    attacked = None
    if recipe.adversarial.attacked_images:
        attacked = robustness.attack_teacher(run, data, section, teacher.fingerprint)
    kept = {"normalisation": "auto", "resolution": None}
    record = TeacherRecord(
        edgedistill_version=edgedistill.__version__,
        created_utc=records.now_utc(),
        machine=machine(),
        versions=versions(),
        inputs=inputs,
        spec=spec,
        choices={
            f"teacher.{name}": str(value)
            for name, usual in kept.items()
            if (value := getattr(recipe.teacher, name)) != usual
        },
        architecture=beginner.architecture,
        parameters=sum(p.numel() for p in beginner.net.parameters()),
        data=data.name,
        labels=data.labels,
        image_shape=data.image_shape,
        recipe=json.loads(recipe.model_dump_json(include={"seed", "data", "distill", "adversarial"})),
        accuracy=report.accuracy,
        ece=report.ece,
        confidence=report.confidence,
        test_examples=report.images,
        validation_accuracy=logs[-1].validation_accuracy if logs else None,
        epochs=logs,
        sha256=sha256_of(path),
        size_bytes=path.stat().st_size,
        robustness=attacked,
        warnings=tuple(run.warnings),
    )
    atomic_write(out / "card.md", _card(record, recipe, beginner, len(data.train), examples).encode())
    atomic_write(out / "teacher.json", (record.model_dump_json(indent=1) + "\n").encode())
    return record


def _save(net: nn.Module, path: Path) -> None:
    from safetensors.torch import save

    atomic_write(path, save({k: v.detach().clone().contiguous() for k, v in net.state_dict().items()}))


def _card(record: TeacherRecord, recipe: Recipe, beginner: Beginner, train: int, examples: str) -> str:
    seconds = sum(log.seconds for log in record.epochs)
    choices, before = recipe.distill, beginner.before
    attacked = recipe.adversarial.method == "pgd"
    against = f" on images changed by PGD within {recipe.adversarial.epsilon}/255" if attacked else ""
    h, w, c = record.image_shape
    mean, std = (", ".join(f"{value:g}" for value in values) for values in (before.mean, before.std))
    rows = {
        "task": f"one of {len(record.labels)} labels: {', '.join(record.labels[:20])}",
        "network": f"`{record.architecture}`, {record.parameters:,} parameters",
        "input": f"{h} x {w} x {c} pixels 0..255, `(x / 255 - mean) / std` with mean {mean}, std {std}",
        "file": f"`{_WEIGHTS}`, {record.size_bytes:,} bytes, float32, sha256 {record.sha256}",
        "data": f"{record.data}, {train:,} training {examples}",
        "training": f"{len(record.epochs)} epochs of {choices.optimiser}, rate {choices.lr:g}, "
        f"hard labels{against}, seed {recipe.seed}; {seconds:.0f} s on {record.machine}",
        "accuracy": f"{record.accuracy:.4f} of {record.test_examples:,} test {examples} that it did not see; "
        f"calibration error {record.ece:.4f}",
    }
    robust = record.robustness
    if robust is not None and robust.robust is not None:
        rows["robust accuracy"] = (
            f"{robust.robust:.4f} of {robust.images:,} test {examples} under {robust.attack} within "
            f"{robust.epsilon}/255; {robust.clean:.4f} of the same unchanged"
        )
    table = "".join(
        f"| {name} | {' '.join(text.split()).replace('|', '/')} |\n" for name, text in rows.items()
    )
    more = "".join(f" --set {name}={value}" for name, value in record.choices.items())
    return f"# teacher of {record.data}\n\n| | |\n|---|---|\n{table}\nUse: `--teacher {record.spec}{more}`\n"


def _inputs(recipe: Recipe, data: ImageData, begun: str) -> str:
    told = recipe.model_dump_json(include={"seed", "data", "distill", "teacher"})
    parts = {"recipe": told, "data": data.fingerprint, "weights": begun}
    parts.update(adversarial.identity(recipe.adversarial))
    if recipe.adversarial.attacked_images:
        parts["attacked"] = recipe.adversarial.model_dump_json()
    return key("teach", {**parts, "version": edgedistill.__version__})


def _finished(out: Path, inputs: str) -> TeacherRecord | None:
    """The record of a finished training from the same inputs whose weights are unaltered."""
    try:
        record = TeacherRecord.model_validate_json((out / "teacher.json").read_bytes())
    except (OSError, ValidationError):
        return None
    path = out / _WEIGHTS
    same = record.inputs == inputs and path.is_file() and sha256_of(path) == record.sha256
    return record if same else None
