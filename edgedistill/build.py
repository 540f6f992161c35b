"""The page: one build, stage by stage, each kept under the hash of its inputs.

A second run, a run after a crash and a second target find the stages that are done.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill import data as data_sets
from edgedistill import datafree, phases, students, target, tasks, teachers
from edgedistill import record as records
from edgedistill.bench.accuracy import to_real
from edgedistill.bench.files import sha256_of
from edgedistill.data.types import ImageData
from edgedistill.deliver import Run, deliver, inputs_hash
from edgedistill.distill import mix as mixes
from edgedistill.distill.evaluate import top1
from edgedistill.distill.loop import AfterEpoch, Schedule, fit
from edgedistill.errors import InputError
from edgedistill.ir import serial
from edgedistill.ir.graph import Graph
from edgedistill.lower.passes import simplify
from edgedistill.lower.trace import trace
from edgedistill.quant import ranges
from edgedistill.quant.execute import GraphNet
from edgedistill.quant.integer import to_integer
from edgedistill.quant.learned import LearnedGraphNet
from edgedistill.recipe import DataSection, Recipe
from edgedistill.record import Accuracy, BuildRecord, EpochLog
from edgedistill.reporter import QuietReporter, Reporter
from edgedistill.sizing import fits
from edgedistill.store import Store, check_writable
from edgedistill.teachers.check import TeacherReport, check
from edgedistill.teachers.types import Teacher
from edgedistill.teaching import check_taps, keep_mix, views_for

_TRAIN_SAMPLE = 2000  # training examples that the student is tried on: a share to about a point


def build(
    recipe: Recipe, out: Path, *, fresh: bool = False, reporter: Reporter | None = None
) -> dict[str, BuildRecord]:
    """Builds one student and packs it for every target of the recipe.

    Args:
        out: gets a folder per target, and ``.cache`` with the stages.
        fresh: forgets finished stages of the same recipe first.

    Returns:
        The record of each target, by its name.

    Raises:
        InputError: something of the user's cannot be used (nothing has been trained then).
        ParityError: a runtime answers differently from the interpreter.
    """
    recipe = tasks.resolved(recipe, data_sets.task_of(recipe.data.source))
    run = Run(recipe, Store(out / ".cache"), reporter or QuietReporter())
    targets = [target.load(name) for name in recipe.targets]
    spec = students.parse(recipe.student.spec)
    mixes.check(recipe.distill)
    check_writable(out)
    with run.store.lock():
        if fresh:
            run.store.clear()
        section, test_identity = _section(run, spec.resolution), ""
        # an operator that we lack, and a device that is too small, show here, not after training
        if section.synthetic:
            run.reporter.stage("data", section.source)
            plan = datafree.plan(run, section)
            fits.check(trace_student(run, spec, plan.labels, plan.image_shape), targets, recipe)
            data, test_identity = datafree.data_set(run, section, spec, plan), plan.test_identity
            for text in data.warnings:
                run.warn(text)
        else:
            data = load_data(run, spec.resolution)
            fits.check(trace_student(run, spec, data.labels, data.image_shape), targets, recipe)
        teacher = teachers.load(
            recipe.teacher, classes=len(data.labels), image_shape=data.image_shape, trust=recipe.trust
        )
        for text in teacher.notes:
            run.reporter.note(text)
        inputs = inputs_hash(run, data.fingerprint + test_identity, teacher)
        done = {t.name: None if fresh else _finished(out / t.name, inputs) for t in targets}
        if all(done.values()):
            run.reporter.note(
                "nothing to do: all targets are built from this recipe, data and teacher (see --fresh)"
            )
            return {name: record for name, record in done.items() if record is not None}
        check_taps(recipe, spec, data, teacher)
        phases.check(recipe, data)
        report = _check_teacher(run, teacher, data)
        weights, epochs = distil(run, spec, data, teacher)
        float_graph, integer, more = _quantise(run, spec, data, teacher, weights)
        if section.synthetic and section.test is not None:
            data = datafree.with_real_test(run, section, data)
            report = _check_teacher(run, teacher, data)
        accuracy = _float_accuracy(float_graph, data, report)
        run.hashes["inputs"] = inputs
        result = {}
        for device in targets:
            made = done[device.name] or deliver(
                run, device, out, data, teacher, accuracy, float_graph, integer, (*epochs, *more)
            )
            result[device.name] = made
        return result


def _float_accuracy(float_graph: Graph, data: ImageData, report: TeacherReport) -> Accuracy:
    """What is the same for every target: the teacher's and the float student's."""
    net, train = GraphNet(float_graph), data.train
    some = np.unique(np.linspace(0, len(train) - 1, min(len(train), _TRAIN_SAMPLE)).astype(np.int64))
    return Accuracy(
        teacher=report.accuracy,
        student_float=top1(net, data.test),
        test_images=len(data.test),
        teacher_ece=report.ece,
        teacher_confidence=report.confidence,
        student_train=top1(net, train.rows(some)),
        validation_images=len(data.validation),
    )


def load_data(run: Run, resolution: int | None) -> ImageData:
    """The recipe's data, decoded into the store's cache; ``resolution`` goes before the recipe's.

    Raises:
        DataError: data that cannot be used, or that a build alone can make.
    """
    section = _section(run, resolution)
    run.reporter.stage("data", section.source)
    cache = run.store.root / "data"
    data = data_sets.load(section, seed=run.recipe.seed, cache=cache, trust=run.recipe.trust)
    for text in data.warnings:
        run.warn(text)
    return data


def _section(run: Run, resolution: int | None) -> DataSection:
    data = run.recipe.data
    return data if resolution is None else data.model_copy(update={"resolution": resolution})


def trace_student(
    run: Run, spec: students.StudentSpec, labels: tuple[str, ...], image_shape: tuple[int, int, int]
) -> Graph:
    """The graph of the untrained student.

    Raises:
        InputError: it has a layer that the graph lacks, or answers with another number of classes.
    """
    import torch

    torch.manual_seed(run.recipe.seed)
    net = spec.build(len(labels), image_shape[2])
    graph = ranges.separate_fixed_operands(simplify(trace(net, image_shape, labels)))
    classes = graph.tensors[graph.outputs[0]].shape[-1]
    if classes != len(labels):
        raise InputError(
            f"the student answers with {classes} values for {len(labels)} classes",
            where=run.recipe.student.spec,
            fix="build it with the number of classes that it is called with",
        )
    return graph


def _check_teacher(run: Run, teacher: Teacher, data: ImageData) -> TeacherReport:
    name = run.stage_key("teacher", data=data.fingerprint, teacher=teacher.fingerprint)
    run.reporter.stage("teacher", teacher.name)
    found = run.store.find("teacher", name)
    if found is None:
        report = check(teacher, data.validation, data.labels, run.recipe.teacher.batch)
        test = check(teacher, data.test, data.labels, run.recipe.teacher.batch)
        report = replace(test, seconds=report.seconds + test.seconds)
        with run.store.writing("teacher", name) as folder:
            (folder / "report.json").write_text(json.dumps(asdict(report)))
    else:
        saved = json.loads((found / "report.json").read_text())
        report = TeacherReport(**{**saved, "warnings": tuple(saved["warnings"])})
    return run.tell_teacher(report, "test", tasks.TASKS[data.task].examples)


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
    from safetensors.torch import load_file, save_file

    choices = run.recipe.distill
    torch.manual_seed(run.recipe.seed)
    net = spec.build(len(data.labels), data.image_shape[2])
    mix = mixes.make(choices, net, teacher, data, run.recipe.seed)
    name = run.stage_key(
        "distill",
        data=data.fingerprint,
        teacher=teacher.fingerprint if mix.taught else "none",
        student=run.recipe.student.spec,
        distill=choices.model_dump_json(),
        augment=",".join(run.recipe.data.augmentations),
        seed=str(run.recipe.seed),
    )
    found = run.store.find("distill", name)
    if found is None:
        views = views_for(run, data, teacher, mix) if choices.epochs else None
        run.reporter.stage(title, f"{run.recipe.student.spec}, {choices.epochs} epochs")
        schedule = Schedule(
            stage="distill",
            epochs=choices.epochs,
            batch=choices.batch,
            lr=choices.lr,
            temperature=choices.temperature,
            alpha=choices.alpha,
            seed=run.recipe.seed,
            optimiser=choices.optimiser,
            shape=choices.schedule,
            weight_decay=choices.weight_decay,
            ema=choices.ema,
            clip_norm=choices.clip_norm,
            patience=choices.patience,
            precision=choices.precision,
            augment=run.recipe.data.augmentations,
        )
        started = time.perf_counter()
        logs = fit(
            net,
            data,
            schedule,
            run.reporter,
            run.store.work("distill", name),
            views=views,
            teacher=teacher.logits,
            inside=teacher.inside,
            mix=mix,
            after_epoch=after_epoch,
        )
        run.seconds["distil"] = time.perf_counter() - started
        with run.store.writing("distill", name) as folder:
            save_file(
                {k: v.contiguous() for k, v in net.state_dict().items()}, folder / "student.safetensors"
            )
            keep_mix(mix, folder)
            (folder / "epochs.json").write_text(json.dumps([log.model_dump() for log in logs]))
        found = run.store.find("distill", name)
    else:
        run.reporter.note("float student: found, not trained again")
    assert found is not None
    state = load_file(found / "student.safetensors")
    epochs = tuple(EpochLog(**log) for log in json.loads((found / "epochs.json").read_text()))
    return {k: v.numpy() for k, v in state.items()}, epochs


def _quantise(
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
        quantise=choices.identity(),
        teacher=teacher.fingerprint,
    )
    net = spec.build(len(data.labels), data.image_shape[2])
    net.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in weights.items()})
    float_graph = ranges.separate_fixed_operands(simplify(trace(net, data.image_shape, data.labels)))
    found = run.store.find("quantise", name)
    if found is None:
        run.reporter.stage("quantise", phases.described(choices))
        started = time.perf_counter()
        rng = np.random.default_rng((recipe.seed, 0xCA1B))
        picked = np.sort(rng.permutation(len(data.train))[: choices.calibration_images])
        calibration = to_real(np.asarray(data.train.images_NHWC[picked]))
        qparams = ranges.choose(float_graph, ranges.observe(float_graph, calibration, choices.percentile))
        make = LearnedGraphNet if choices.scales == "learned" else GraphNet
        quantised = make(float_graph, qparams)
        logs = phases.train(run, net, quantised, data, teacher, run.store.work("quantise", name))
        integer = to_integer(quantised.trained(), quantised.deployed(), quantised.weight_scales())
        run.seconds["quantise"] = time.perf_counter() - started
        with run.store.writing("quantise", name) as folder:
            (folder / "graph.npz").write_bytes(serial.to_bytes(integer))
            (folder / "epochs.json").write_text(json.dumps([log.model_dump() for log in logs]))
        found = run.store.find("quantise", name)
    else:
        run.reporter.note("int8 student: found, not trained again")
    assert found is not None
    epochs = tuple(EpochLog(**log) for log in json.loads((found / "epochs.json").read_text()))
    return float_graph, serial.load(found / "graph.npz"), epochs


def _finished(folder: Path, inputs: str) -> BuildRecord | None:
    """The record of a finished build of the same inputs whose files are all there and unaltered."""
    path = folder / "record.json"
    if not path.exists():
        return None
    try:
        record = records.load(path)
    except InputError:
        return None
    if record.stage_hashes.get("inputs") != inputs:
        return None
    if any(
        not (folder / a.path).exists() or sha256_of(folder / a.path) != a.sha256 for a in record.artifacts
    ):
        return None
    return record
