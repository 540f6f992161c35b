"""The page: one build, stage by stage, each kept under the hash of its inputs.

A second run, a run after a crash and a second target find the stages that are done.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill import choose, datafree, phases, robustness, students, succession, target, tasks, widening
from edgedistill import data as data_sets
from edgedistill import recipe as recipes
from edgedistill import record as records
from edgedistill.bench.accuracy import paired, to_int8
from edgedistill.bench.files import sha256_of
from edgedistill.data.types import ImageData, Split
from edgedistill.deliver import Run, deliver, inputs_hash
from edgedistill.distill import adversarial, parallel
from edgedistill.distill import mix as mixes
from edgedistill.distill.evaluate import top1
from edgedistill.errors import InputError
from edgedistill.ir import interpret
from edgedistill.ir.graph import Graph
from edgedistill.lower.student import float_graph as student_graph
from edgedistill.quant.execute import GraphNet
from edgedistill.recipe import DataSection, LossSection, Recipe
from edgedistill.record import Accuracy, Ancestor, BuildRecord
from edgedistill.reporter import Reporter
from edgedistill.sizing import compatibility, fits
from edgedistill.store import Store, check_writable
from edgedistill.teachers.check import TeacherReport, check
from edgedistill.teachers.types import NOBODY, Teacher
from edgedistill.teaching import load_teacher
from edgedistill.training import distil, quantise

_TRAIN_SAMPLE = 2000  # training examples that the student is tried on: a share to about a point


@parallel.joined()
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
    recipes.check(recipe)
    targets = [target.load(name) for name in recipe.targets]
    limits, given = choose.wanted(recipe, targets), recipe
    recipe = adversarial.resolved(tasks.resolved(recipe, data_sets.task_of(recipe.data.source)))
    robustness.check(recipe.adversarial)
    run = Run(recipe, Store(out / ".cache"), parallel.voice(reporter))
    for text in choose.unpredictable(given, targets):
        run.warn(text)
    spec = students.parse(recipe.student.spec)
    mixes.check(recipe.distill)
    phases.check(recipe)
    widening.check(recipe)
    succession.chain(recipe, spec)
    recipes.check_family(recipe, targets)
    parallel.once(check_writable, out)
    with parallel.led(run.store.lock()):
        if fresh:
            parallel.once(run.store.clear)
        if limits is not None:
            sizing = parallel.once(choose.stage, run.within(given), targets, limits, load_data)
            run.reporter.note(sizing.reason)
            run = choose.with_student(run, sizing)
            recipe, spec = run.recipe, students.parse(run.recipe.student.spec)
            succession.chain(recipe, spec)
        section, test_identity = _section(run, spec.resolution), ""
        # an operator that we lack, and a device that is too small, show here, not after training
        if section.synthetic:
            run.reporter.stage("data", section.source)
            plan = datafree.plan(run, section)
            untrained = trace_student(run, spec, plan.labels, plan.image_shape)
            needs = fits.check(untrained, targets, recipe)
            data, test_identity = datafree.data_set(run, section, spec, plan), plan.test_identity
            for text in data.warnings:
                run.warn(text)
        else:
            data = load_data(run, spec.resolution)
            untrained = trace_student(run, spec, data.labels, data.image_shape)
            needs = fits.check(untrained, targets, recipe)
        with parallel.leader_first():  # what is downloaded, is once
            teacher = load_teacher(recipe, len(data.labels), data.image_shape)
        for text in teacher.notes:
            run.reporter.note(text)
        inputs = inputs_hash(run, data.fingerprint + test_identity, teacher)
        done = {t.name: None if fresh else parallel.once(_finished, out / t.name, inputs) for t in targets}
        if all(done.values()):
            run.reporter.note(
                "nothing to do: all targets are built from this recipe, data and teacher (see --fresh)"
            )
            return {name: record for name, record in done.items() if record is not None}
        succession.check(recipe, spec, data, teacher)
        phases.check_data(recipe, data)
        run.advise(compatibility.guidance(untrained, teacher, data, recipe))
        report = parallel.once(_check_teacher, run, teacher, data)
        students_run, last_teacher = succession.teach(run, spec, data, teacher)
        weights, epochs = distil(students_run, spec, data, last_teacher)
        float_graph, integer, more = quantise(students_run, spec, data, last_teacher, weights)
        if section.synthetic and section.test is not None:
            data = datafree.with_real_test(run, section, data)
            report = parallel.once(_check_teacher, run, teacher, data)
        accuracy = parallel.once(_float_accuracy, float_graph, data, report)
        run.sizing = choose.beside_teacher(run.sizing, teacher, accuracy.teacher)
        if recipe.bench.baseline:
            accuracy = accuracy.model_copy(update=_baseline(run, spec, data, teacher, integer))
        attacked = parallel.once(robustness.attack, run, data, teacher, float_graph, integer)
        run.hashes["inputs"] = inputs
        result = {}
        for device in targets:
            made = done[device.name] or parallel.once(
                deliver,
                run,
                device,
                out,
                data,
                teacher,
                accuracy,
                float_graph,
                integer,
                (*epochs, *more),
                needs[device.name].flash,
                robustness=attacked,
            )
            result[device.name] = made
        return result


def _float_accuracy(float_graph: Graph, data: ImageData, report: TeacherReport | None) -> Accuracy:
    """What is the same for every target: the teacher's and the float student's."""
    net, train = GraphNet(float_graph), data.train
    known = np.flatnonzero(train.labels >= 0)
    some = known[np.unique(np.linspace(0, len(known) - 1, min(len(known), _TRAIN_SAMPLE)).astype(np.int64))]
    return Accuracy(
        teacher=report.accuracy if report else None,
        student_float=top1(net, data.test),
        test_images=len(data.test),
        teacher_ece=report.ece if report else None,
        teacher_by_class=report.right_by_class if report else (),
        teacher_confidence=report.confidence if report else None,
        student_train=top1(net, train.rows(some)),
        validation_images=len(data.validation),
    )


def _baseline(
    run: Run, spec: students.StudentSpec, data: ImageData, teacher: Teacher, integer: Graph
) -> dict[str, float]:
    """What the same student reaches on labels alone, in as many epochs, and what its teacher gave it."""
    plain = run.recipe.distill.model_copy(update={"losses": (LossSection(name="hard-labels"),)})
    changed = {
        "distill": plain,
        "quantise": phases.untaught(run.recipe.quantise),
        "adversarial": adversarial.untaught(run.recipe.adversarial),
    }
    alone = Run(run.recipe.model_copy(update=changed), run.store, run.reporter)
    weights, _ = distil(alone, spec, data, teacher, title="baseline")
    float_graph, without, _ = quantise(alone, spec, data, teacher, weights)
    run.seconds["baseline"], run.hashes["baseline"] = sum(alone.seconds.values()), alone.hashes["quantise"]
    right = parallel.once(lambda: [_right(graph, data.test) for graph in (integer, without)])
    plain_float = parallel.once(top1, GraphNet(float_graph), data.test)
    gain, error = paired(*right)
    run.reporter.note(f"distillation gave {100 * gain:+.2f} points in int8, standard error {100 * error:.2f}")
    return {
        "plain_float": plain_float,
        "plain_int8": float(right[1].mean()),
        "plain_error": error,
    }


def _right(graph: Graph, split: Split) -> NDArray[np.bool_]:
    """Which examples the integer graph answers right, [N]."""
    pixels = to_int8(np.asarray(split.images_NHWC))
    scores = interpret.run_batched(graph, {graph.inputs[0]: pixels})[graph.outputs[0]]
    return np.asarray(scores.reshape(len(pixels), -1).argmax(1) == split.labels)


@parallel.leader_first()
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
    graph = student_graph(net, image_shape, labels)
    classes = graph.tensors[graph.outputs[0]].shape[-1]
    if classes != len(labels):
        raise InputError(
            f"the student answers with {classes} values for {len(labels)} classes",
            where=run.recipe.student.spec,
            fix="build it with the number of classes that it is called with",
        )
    return graph


def _check_teacher(run: Run, teacher: Teacher, data: ImageData) -> TeacherReport | None:
    """What the teacher knows of held-out examples, and each of several; None: nobody teaches."""
    if teacher is NOBODY:
        return None
    for i, member in enumerate(teacher.members, 1):
        found = _check_teacher(run, member, data)
        assert found is not None
        run.lineage.append(
            Ancestor(
                role=f"teacher {i}",
                network=member.name,
                accuracy=found.accuracy,
                parameters=member.parameters,
            )
        )
    name = run.stage_key("teacher", data=data.fingerprint, teacher=teacher.fingerprint)
    run.reporter.stage("teacher", teacher.name)
    kept = run.store.find("teacher", name)
    if kept is None:
        report = check(teacher, data.validation, data.labels, run.recipe.teacher.batch)
        test = check(teacher, data.test, data.labels, run.recipe.teacher.batch)
        report = replace(test, seconds=report.seconds + test.seconds)
        with run.store.writing("teacher", name) as folder:
            (folder / "report.json").write_text(json.dumps(asdict(report)))
    else:
        saved: dict[str, Any] = json.loads((kept / "report.json").read_text())
        listed = {key: tuple(value) for key, value in saved.items() if isinstance(value, list)}
        report = TeacherReport(**{**saved, **listed})
    return run.tell_teacher(report, "test", tasks.TASKS[data.task].examples)


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
