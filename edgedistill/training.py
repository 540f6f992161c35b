"""The two trainings of a build, float and int8; each is kept under the hash of its inputs."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgedistill import phases, students, widening
from edgedistill.bench.accuracy import to_real
from edgedistill.data.types import ImageData
from edgedistill.deliver import Run
from edgedistill.distill import adversarial, parallel
from edgedistill.distill import mix as mixes
from edgedistill.distill.loop import AfterEpoch, fit
from edgedistill.ir import serial
from edgedistill.ir.graph import Graph, QParams
from edgedistill.lower.student import float_graph
from edgedistill.quant import int16, ranges
from edgedistill.quant.execute import GraphNet
from edgedistill.quant.integer import to_integer
from edgedistill.quant.learned import LearnedGraphNet
from edgedistill.record import EpochLog, Int16
from edgedistill.teachers.types import Teacher
from edgedistill.teaching import keep_mix, schedule, views_for

if TYPE_CHECKING:
    from torch import nn

_INT16 = "int16.json"


def distil(
    run: Run,
    spec: students.Buildable,
    data: ImageData,
    teacher: Teacher,
    *,
    title: str = "distil",
    after_epoch: AfterEpoch | None = None,
) -> tuple[dict[str, NDArray[np.float32]], tuple[EpochLog, ...]]:
    """The trained float student's state, and its epochs; kept, and found by a second call."""
    import torch
    from safetensors.torch import load_file

    choices = run.recipe.distill
    parallel.team().check_batch(min(choices.batch, len(data.train)), "distill.batch")
    torch.manual_seed(run.recipe.seed)
    net = spec.build(len(data.labels), data.image_shape[2])
    mix = mixes.make(choices, net, teacher, data, run.recipe.seed)
    adversary = adversarial.make(run.recipe.adversarial, choices, data)
    name = run.stage_key(
        "distill",
        data=data.fingerprint,
        teacher=teacher.fingerprint if mix.taught else "none",
        student=run.recipe.student.spec,
        distill=choices.model_dump_json(),
        augment=",".join(run.recipe.data.augmentations),
        seed=str(run.recipe.seed),
        **adversarial.identity(run.recipe.adversarial),
    )
    found = run.store.find("distill", name)
    if found is None:
        views = views_for(run, data, teacher, mix) if choices.epochs else None
        run.reporter.stage(title, f"{run.recipe.student.spec}, {choices.epochs} epochs")
        planned = replace(
            schedule(run.recipe, "distill", choices.epochs, choices.lr),
            optimiser=choices.optimiser,
            shape=choices.schedule,
            weight_decay=choices.weight_decay,
            ema=choices.ema,
            patience=choices.patience,
            precision=choices.precision,
        )
        started = time.perf_counter()
        logs = fit(
            net,
            data,
            planned,
            run.reporter,
            run.store.work("distill", name),
            views=views,
            teacher=teacher.logits,
            inside=teacher.inside,
            knowing=teacher.knowing,
            mix=mix,
            adversary=adversary,
            after_epoch=after_epoch,
        )
        run.seconds["distil"] = time.perf_counter() - started
        parallel.once(_keep_student, run, name, net, mix, logs)
        found = run.store.find("distill", name)
    else:
        run.reporter.note("float student: found, not trained again")
    assert found is not None
    state = load_file(found / "student.safetensors")
    epochs = tuple(EpochLog(**log) for log in json.loads((found / "epochs.json").read_text()))
    return {k: v.numpy() for k, v in state.items()}, epochs


def _keep_student(run: Run, name: str, net: nn.Module, mix: mixes.LossMix, logs: Sequence[EpochLog]) -> None:
    from safetensors.torch import save_file

    with run.store.writing("distill", name) as folder:
        save_file({k: v.contiguous() for k, v in net.state_dict().items()}, folder / "student.safetensors")
        keep_mix(mix, folder)
        (folder / "epochs.json").write_text(json.dumps([log.model_dump() for log in logs]))


def quantise(
    run: Run,
    spec: students.StudentSpec,
    data: ImageData,
    teacher: Teacher,
    weights: dict[str, NDArray[np.float32]],
) -> tuple[Graph, Graph, tuple[EpochLog, ...]]:
    """The float graph before int8 training, the integer graph, and the epochs of int8 training."""
    import torch

    recipe = run.recipe
    choices = recipe.quantise
    name = run.stage_key(
        "quantise",
        distill=run.hashes["distill"],
        quantise=choices.model_dump_json(),
        teacher=teacher.fingerprint,
    )
    net = spec.build(len(data.labels), data.image_shape[2])
    net.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in weights.items()})
    floating = float_graph(net, data.image_shape, data.labels)
    found = run.store.find("quantise", name)
    if found is None:
        run.reporter.stage("quantise", phases.described(choices))
        started = time.perf_counter()
        rng = np.random.default_rng((recipe.seed, 0xCA1B))
        picked = np.sort(rng.permutation(len(data.train))[: choices.calibration_images])
        calibration = to_real(np.asarray(data.train.images_NHWC[picked]))
        observed = parallel.once(ranges.observe, floating, calibration, choices.percentile)
        extremes = parallel.once(ranges.observe, floating, calibration, 100) if choices.int16 else None
        work = run.store.work("quantise", name)

        def quantised_with(graph: Graph, layers: Sequence[str]) -> tuple[Graph, dict[str, QParams]]:
            return int16.quantised(graph, observed, layers, extremes)

        def train(layers: Sequence[str], folder: Path) -> tuple[Graph, Graph, tuple[EpochLog, ...]]:
            graph, qparams = quantised_with(floating, layers)
            make = LearnedGraphNet if choices.scales == "learned" else GraphNet
            quantised = make(graph, qparams)
            logs = phases.train(run, net, quantised, data, teacher, folder)
            trained = quantised.trained()
            return trained, to_integer(trained, quantised.deployed(), quantised.weight_scales()), logs

        integer, logs, made = widening.trained(run, floating, quantised_with, data, train, work)
        run.seconds["quantise"] = time.perf_counter() - started
        parallel.once(_keep_integer, run, name, integer, logs, made)
        found = run.store.find("quantise", name)
    else:
        run.reporter.note("int8 student: found, not trained again")
    assert found is not None
    epochs = tuple(EpochLog(**log) for log in json.loads((found / "epochs.json").read_text()))
    if (found / _INT16).exists():
        run.int16.append(Int16.model_validate_json((found / _INT16).read_text()))
        run.reporter.note(run.int16[-1].why)
    return floating, serial.load(found / "graph.npz"), epochs


def _keep_integer(run: Run, name: str, integer: Graph, logs: Sequence[EpochLog], made: Int16 | None) -> None:
    with run.store.writing("quantise", name) as folder:
        (folder / "graph.npz").write_bytes(serial.to_bytes(integer))
        (folder / "epochs.json").write_text(json.dumps([log.model_dump() for log in logs]))
        if made is not None:
            (folder / _INT16).write_text(made.model_dump_json())
