"""The phases of int8 training: self-studying, co-studying, tutoring; each goes through the one loop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import nn

from edgedistill import launch
from edgedistill.data.types import ImageData
from edgedistill.deliver import Run
from edgedistill.distill import adversarial, evaluate, parallel
from edgedistill.distill import mix as mixes
from edgedistill.distill.assistant import Assistant
from edgedistill.distill.costudy import CoStudy
from edgedistill.distill.loop import fit
from edgedistill.distill.losses import LOSSES
from edgedistill.errors import InputError
from edgedistill.quant.execute import GraphNet
from edgedistill.recipe import QuantiseSection, Recipe
from edgedistill.record import EpochLog
from edgedistill.teachers import gradients
from edgedistill.teachers.gradients import Network
from edgedistill.teachers.types import Teacher
from edgedistill.teaching import load_mix, schedule, views_for

_APART = 1_000_003  # between the seeds of two phases, which would otherwise see the same batches


def described(choices: QuantiseSection) -> str:
    """What will be trained, for the terminal."""
    epochs = {"self-studying": choices.self_study, "co-studying": choices.co_study}
    before = "".join(f"{count} epochs of {phase}, " for phase, count in epochs.items() if count)
    scales = ", scales learned" if choices.scales == "learned" else ""
    return f"{before}{choices.epochs} epochs in the deployed arithmetic{scales}"


def untaught(choices: QuantiseSection) -> QuantiseSection:
    """As many epochs from labels alone."""
    phases = {"self_study": choices.self_study + choices.co_study, "co_study": 0}
    return choices.model_copy(update={"teacher": "teacher", **phases})


def check(recipe: Recipe) -> None:
    """Finds in the recipe alone what int8 training could not do; its losses are known to be there.

    Raises:
        InputError: an assistant that is not trained or that nothing would ask; a phase beside something
            that it cannot go with.
    """
    choices = recipe.quantise
    if choices.teacher != "teacher":
        _check_assistant(recipe)
    for name, epochs in (("self_study", choices.self_study), ("co_study", choices.co_study)):
        if epochs and recipe.adversarial.method != "none":
            raise InputError(
                "an adversary attacks in tutoring alone, and this phase would unlearn to withstand it",
                where=f"quantise.{name}",
                fix=f'quantise.{name} = 0, or adversarial.method = "none"',
            )
    if choices.co_study:
        _check_co_study(recipe)


def check_data(recipe: Recipe, data: ImageData) -> None:
    """The same with data and teacher at hand, before any training.

    Raises:
        InputError: labels that are missing.
        TeacherError: co-studying with a teacher that gradients do not reach.
    """
    choices, unlabelled = recipe.quantise, data.train.unlabelled
    for name, epochs in (("self_study", choices.self_study), ("co_study", choices.co_study)):
        if epochs and unlabelled:
            raise InputError(
                f"this phase needs labels, and {unlabelled} of {len(data.train)} training examples have none",
                where=f"quantise.{name}",
                fix=f"quantise.{name} = 0",
            )
    if choices.co_study:
        _network(recipe, data)


def _check_co_study(recipe: Recipe) -> None:
    choices, processes = recipe.distill, launch.size()
    refused = (
        (f"{processes} processes", processes > 1, "the teacher learns along in one process"),
        ("[[teachers]]", bool(recipe.teachers), "one teacher learns along, and there are several"),
        (
            'teacher.spec = "none"',
            recipe.teacher.spec == "none",
            "no teacher is there to learn along",
        ),
        ("distill.assistants", bool(choices.assistants), "the student's teacher is an assistant"),
        ("distill.generations", bool(choices.generations), "the student's teacher is an earlier student"),
        ("distill.mixup", choices.mixup is not None, "teacher and student learn from whole images"),
        ("distill losses", not mixes.asks_teacher(choices), "no loss asks the teacher"),
    )
    for where, found, why in refused:
        if found:
            raise InputError(
                f"co-studying is not possible: {why}",
                where=where,
                fix="quantise.co_study = 0",
            )


def _check_assistant(recipe: Recipe) -> None:
    choices, where = recipe.quantise, f'quantise.teacher = "{recipe.quantise.teacher}"'
    asked = any(
        LOSSES[entry.name].asks_teacher and LOSSES[entry.name].kind != "feature" and not entry.taps
        for entry in mixes.entries(recipe.distill)
    )
    if not asked or choices.epochs == 0:
        raise InputError(
            "the float student would never be asked",
            where=where,
            fix="set quantise.epochs to 1 or more and use a loss on the teacher's answers, such as hinton",
        )
    if recipe.distill.epochs == 0:
        raise InputError(
            "the float student cannot assist: it is not trained (distill.epochs is 0)",
            where=where,
            fix='train it, or set quantise.teacher = "teacher"',
        )
    if choices.teacher == "student" and choices.co_study:
        raise InputError(
            "the teacher would learn in co-studying, and the float student alone would teach afterwards",
            where=where,
            fix='quantise.teacher = "both" or "teacher", or quantise.co_study = 0',
        )


def train(
    run: Run, net: nn.Module, quantised: GraphNet, data: ImageData, teacher: Teacher, work: Path
) -> tuple[EpochLog, ...]:
    """Trains ``quantised`` in place through the phases of Kim et al. 2019 (QKD, section 3) that have epochs.

    Each phase has its own schedule of the learning rate and leaves averaged weights; a run that was broken
    off goes on in the phase where it was. Tutoring alone is the default.

    Args:
        run: its store holds views and what was learned along in float training.
        net: the float student as a module, in which the losses' taps are found.
        quantised: its graph in int8; ``GraphNet(quantised.graph)`` is the assistant.
        data: train and validation splits.
        teacher: as it is before co-studying.
        work: keeps the checkpoints.
    """
    recipe, choices = run.recipe, run.recipe.quantise
    distilled = recipe.distill
    assistant = None
    if choices.teacher != "teacher":
        floating = GraphNet(quantised.graph).to(parallel.team().device)
        assistant = Assistant(lambda images: evaluate.logits(floating, images), choices.teacher == "student")
    tutoring = replace(
        schedule(recipe, "quantise", choices.epochs, choices.lr),
        shape="cosine",
        weight_decay=0.0,
        ema=min(distilled.ema, 0.998),
    )
    logs: list[EpochLog] = []
    if choices.self_study:
        own = replace(tutoring, epochs=choices.self_study, seed=recipe.seed + _APART)
        logs += fit(quantised, data, own, run.reporter, _folder(work, "self"), mix=mixes.simple(1.0, 0.0))
    if choices.co_study:
        both = replace(tutoring, epochs=choices.co_study, seed=recipe.seed + 2 * _APART)
        study = CoStudy(_network(recipe, data), distilled.temperature, distilled.alpha)
        logs += fit(quantised, data, both, run.reporter, _folder(work, "co"), mix=study)
        teacher = study.frozen(teacher)
    if choices.epochs:
        views = None
        mix = mixes.make(distilled, net, teacher, data, recipe.seed)
        load_mix(mix, run.store.find("distill", run.hashes["distill"]))
        mix.in_graph(net, quantised, data)
        if not choices.co_study:  # the teacher that answered for the cache is no more
            views = views_for(run, data, teacher, mix)
        if assistant is not None:
            teacher, views = assistant.helps(teacher), assistant.joins(views)
        logs += fit(
            quantised,
            data,
            tutoring,
            run.reporter,
            work,
            views=views,
            teacher=teacher.logits,
            inside=teacher.inside,
            knowing=teacher.knowing,
            mix=mix,
            adversary=adversarial.make(recipe.adversarial, distilled, data),
        )
    return tuple(log.model_copy(update={"epoch": i + 1}) for i, log in enumerate(logs))


def _network(recipe: Recipe, data: ImageData) -> Network:
    """The teacher as a torch module, tried on an image."""
    height, width, channels = data.image_shape
    network = gradients.load(
        recipe.teacher,
        classes=len(data.labels),
        trust=recipe.trust,
        channels=channels,
        what="co-studying needs",
        instead="or quantise.co_study = 0",
    )
    return gradients.tried(network, (height, width), len(data.labels), "set quantise.co_study = 0")


def _folder(work: Path, phase: str) -> Path:
    folder = work / phase
    folder.mkdir(exist_ok=True)
    return folder
