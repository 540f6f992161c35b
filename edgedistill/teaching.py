"""What a build's trainings learn from: the mix of losses, and cached views with the teacher's answers."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Literal

from edgedistill import students, tasks, teachers, units
from edgedistill.data.types import ImageData
from edgedistill.deliver import Run
from edgedistill.distill import mix as mixes
from edgedistill.distill import parallel
from edgedistill.distill import views as view_cache
from edgedistill.distill.loop import Schedule
from edgedistill.distill.mix import LossMix
from edgedistill.lower.student import float_graph
from edgedistill.quant.execute import GraphNet
from edgedistill.recipe import Recipe
from edgedistill.teachers import ensemble
from edgedistill.teachers.types import NOBODY, Teacher

_MIX = "losses.safetensors"


def load_teacher(recipe: Recipe, classes: int, image_shape: tuple[int, int, int]) -> Teacher:
    """The recipe's teacher, several as one, or nobody.

    Raises:
        TeacherError: one that cannot be used.
    """
    if recipe.teacher.spec == "none":
        return NOBODY
    load = partial(teachers.load, classes=classes, image_shape=image_shape, trust=recipe.trust)
    if not recipe.teachers:
        return load(recipe.teacher)
    weights = [section.weight for section in recipe.teachers]
    return ensemble.combined([load(s) for s in recipe.teachers], weights, recipe.distill.combine or "mean")


def schedule(recipe: Recipe, stage: Literal["distill", "quantise"], epochs: int, lr: float) -> Schedule:
    """What float and int8 training have in common; the rest is each one's own."""
    choices = recipe.distill
    return Schedule(
        stage=stage,
        epochs=epochs,
        batch=choices.batch,
        lr=lr,
        temperature=choices.temperature,
        alpha=choices.alpha,
        seed=recipe.seed,
        clip_norm=choices.clip_norm,
        augment=recipe.data.augmentations,
        mixup=choices.mixup,
    )


def check_taps(recipe: Recipe, spec: students.StudentSpec, data: ImageData, teacher: Teacher) -> None:
    """Finds before training what taps would only show after it, in int8 training or on a full disk.

    Raises:
        InputError: a tap that does not exist, cannot be matched or is folded away; too large a cache.
    """
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        net = spec.build(len(data.labels), data.image_shape[2])
        mix = mixes.make(recipe.distill, net, teacher, data, recipe.seed)
        if not mix.student_layers:
            return
        if recipe.distill.cache_features:
            limit_bytes = units.parse_bytes(recipe.distill.cache_limit)
            view_cache.check_size(mix.teacher_layers, recipe.distill.views, len(data.train), limit_bytes)
        if recipe.quantise.epochs == 0:
            return
        for layer in net.modules():  # as after training: an untrained BatchNorm changes nothing
            if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None:
                assert layer.running_var is not None
                nn.init.normal_(layer.running_mean)
                nn.init.uniform_(layer.running_var, 0.5, 2)
    mix.in_graph(net, GraphNet(float_graph(net, data.image_shape, data.labels)), data)


@parallel.leader_first()
def views_for(run: Run, data: ImageData, teacher: Teacher, mix: LossMix) -> view_cache.Views | None:
    """The cached views that ``mix`` wants; None where the teacher is asked live, or not at all.

    Layers that are tapped without a cache need the teacher for each batch, and its logits come along.
    """
    recipe = run.recipe
    cached = recipe.distill.cache_features or not mix.teacher_layers
    if recipe.distill.mixup is not None:
        if mix.taught:
            run.reporter.note("the teacher is asked for each batch: images are mixed anew (distill.mixup)")
        return None
    if not cached:
        run.reporter.note(
            "the teacher is asked for each batch, for its layers and its answers (see distill.cache_features)"
        )
    if recipe.distill.views == 0 or not mix.taught or not cached:
        return None
    parts = view_cache.parts(data, teacher, recipe.distill.views, recipe.data.augmentations, recipe.seed)
    layers = tuple(mix.teacher_layers)
    if layers:
        parts["layers"] = "\n".join(layers)
    name = run.stage_key("views", **parts)
    started = time.perf_counter()
    missing = run.store.find("views", name) is None
    if missing:
        examples = tasks.TASKS[data.task].examples
        run.reporter.stage("soft targets", f"{recipe.distill.views} views of {len(data.train)} {examples}")
    views = view_cache.kept(
        run.store,
        name,
        data,
        teacher,
        recipe.distill.views,
        recipe.data.augmentations,
        recipe.seed,
        run.reporter,
        mix.teacher_layers,
    )
    if missing:
        run.seconds["soft targets"] = time.perf_counter() - started
    return views


def keep_mix(mix: LossMix, folder: Path) -> None:
    """Saves what was learned along with the student, for int8 training to go on with."""
    from safetensors.torch import save_file

    state = mix.state_dict()
    if state:
        save_file({name: value.contiguous() for name, value in state.items()}, folder / _MIX)


def load_mix(mix: LossMix, folder: Path | None) -> None:
    """The counterpart of ``keep_mix``."""
    from safetensors.torch import load_file

    if folder is not None and (folder / _MIX).exists():
        mix.load_state_dict(load_file(folder / _MIX))
