"""The last stages of a build: export, prove, measure, and publish one target's folder."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

import edgedistill
from edgedistill import recipe as recipes
from edgedistill import record as records
from edgedistill.bench import emulated, npu
from edgedistill.bench.accuracy import counted, to_int8
from edgedistill.bench.files import GOLDEN, GRAPH, RECORD, sha256_of, size_of
from edgedistill.bench.machine import machine, versions
from edgedistill.bench.measure import measure, slower_than_float
from edgedistill.bench.parity import parity
from edgedistill.bench.steps import steps
from edgedistill.bench.summary import summary
from edgedistill.data import frontend
from edgedistill.data.types import ImageData
from edgedistill.errors import ParityError
from edgedistill.export import EXPORTERS, NO_INT16, exportable
from edgedistill.export import c as c_printer
from edgedistill.export import frontend as frontend_printer
from edgedistill.export import onnx as onnx_printer
from edgedistill.export.c import project
from edgedistill.export.metadata import Metadata
from edgedistill.ir import golden, interpret, serial, verify
from edgedistill.ir.graph import Graph
from edgedistill.package import built
from edgedistill.recipe import Recipe
from edgedistill.record import (
    Accuracy,
    Ancestor,
    Artifact,
    BuildRecord,
    EpochLog,
    Int16,
    PlannedFlash,
    Robustness,
)
from edgedistill.report import mistakes, pictures
from edgedistill.report.html import render
from edgedistill.reporter import Reporter
from edgedistill.runners import aarch64
from edgedistill.runners.cortex_m import board
from edgedistill.sized import Sizing
from edgedistill.store import Store, key, publish
from edgedistill.target import Format, Target
from edgedistill.tasks import TASKS
from edgedistill.teachers.check import TeacherReport
from edgedistill.teachers.types import NOBODY, Teacher

_GOLDEN_INPUTS = 16


@dataclass
class Run:
    """What one build gathers on its way: seconds and hashes of stages, warnings."""

    recipe: Recipe
    store: Store
    reporter: Reporter
    seconds: dict[str, float] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    lineage: list[Ancestor] = field(default_factory=list)
    int16: list[Int16] = field(default_factory=list)  # of the student, where int16 was asked for
    guidance: list[str] = field(default_factory=list)  # said before training
    sizing: Sizing | None = None  # None: the user named the student

    def within(self, recipe: Recipe) -> Run:
        """The same build by another recipe, such as one of its trainings alone."""
        return replace(self, recipe=recipe)

    def stage_key(self, stage: str, **parts: str) -> str:
        """The name under which a stage's result is kept: by what it is made of. The record shows it."""
        self.hashes[stage] = key(stage, parts)
        return self.hashes[stage]

    def tell_teacher(self, report: TeacherReport, split: str, examples: str) -> TeacherReport:
        """Says what the check of a teacher found."""
        for text in report.warnings:
            self.warn(text)
        self.reporter.note(
            f"teacher accuracy {report.accuracy:.2%}, calibration error {report.ece:.3f} "
            f"on {report.images} {split} {examples}"
        )
        return report

    def advise(self, texts: Sequence[str]) -> None:
        """Tells the user now what could be changed before training, and keeps it for the record."""
        for text in texts:
            self.guidance.append(text)
            self.reporter.note(text)

    def warn(self, text: str) -> None:
        """Tells the user now and keeps it for the record."""
        self.warnings.append(text)
        self.reporter.warn(text)


def deliver(
    run: Run,
    device: Target,
    out: Path,
    data: ImageData,
    teacher: Teacher,
    accuracy: Accuracy,
    float_graph: Graph,
    integer: Graph,
    epochs: tuple[EpochLog, ...],
    planned: PlannedFlash | None,
    *,
    robustness: Robustness | None = None,
) -> BuildRecord:
    """Exports, verifies, measures and publishes OUT/<target>."""
    recipe, reporter = run.recipe, run.reporter
    wanted = recipes.formats(recipe, device)
    formats = exportable(wanted, integer)
    for dropped in (name for name in wanted if name not in formats):
        reporter.note(f"{dropped}: not exported, because layers are in int16: {NO_INT16[dropped]}")
    with run.store.scratch(f"deliver-{device.name}") as folder:
        reporter.stage("export", f"{device.name}: {', '.join(formats)}")
        started = time.perf_counter()
        meta = _metadata(run, integer, teacher, data)
        export(integer, float_graph, meta, folder, recipe, formats)
        if data.task == "keyword-spotting":
            frontend_printer.write(folder)
        inputs = to_int8(np.asarray(data.test.images_NHWC))
        vectors = golden.golden(integer, inputs[:_GOLDEN_INPUTS])
        golden.save(vectors, folder / GOLDEN)
        if "c" in formats:
            project.write(integer, meta, vectors, EXPORTERS["c"].path(folder), recipe.export.family)
            board.write(EXPORTERS["c"].path(folder))
        (folder / GRAPH).write_bytes(serial.to_bytes(integer))
        (folder / "labels.txt").write_text(
            "".join(f"{_one_line(label)}\n" for label in data.labels), encoding="utf-8"
        )
        (folder / "recipe.toml").write_text(recipes.to_toml(recipe), encoding="utf-8")
        run.seconds["export"] = time.perf_counter() - started
        reporter.stage("verify", f"{len(inputs)} test {TASKS[data.task].examples} in every runtime")
        started = time.perf_counter()
        name = integer.inputs[0]
        answers = np.asarray(interpret.run_batched(integer, {name: inputs})[integer.outputs[0]], np.int8)
        proofs = parity(integer, folder, inputs, answers)
        run.seconds["verify"] = time.perf_counter() - started
        reporter.stage("bench", device.name)
        started = time.perf_counter()
        int8, confusion = counted(answers, data.test.labels)
        measurements = measure(
            folder,
            data.test,
            runs=recipe.bench.runs,
            warmup=recipe.bench.warmup,
            threads=recipe.bench.threads,
        )
        slower = None
        if device.default_runner == "local":  # a microcontroller runs none of the files that were timed
            slower = slower_than_float(measurements, integer, recipe.bench.threads)
        on_cortex_m, on_64_bit = device.default_runner == "cortex-m", aarch64.architecture(device) is not None
        if "c" in formats and (on_cortex_m or on_64_bit):
            tried = inputs[: recipe.bench.emulated_inputs]
            x, expected = emulated.with_random(integer, tried, family=recipe.export.family)
            if on_cortex_m:
                reporter.stage("emulate", f"{device.title} in QEMU")
                on_device = emulated.on_device(
                    folder, device, x, expected, cc=recipe.bench.cc, graph=integer, planned=planned, mix=True
                )
                proofs = (*proofs, on_device.parity)
                measurements = (*measurements, *on_device.measurements)
            else:
                proofs = (*proofs, emulated.on_64_bit_arm(folder, device, x, expected, integer))
        if device.npu is not None:
            measurements = (*measurements, *npu.on_npu(integer, device, meta, folder))
        shares = steps(integer, device, recipe.bench.threads)
        run.seconds["bench"] = time.perf_counter() - started
        if slower:
            run.warn(slower)
        inexact = verify.inexact(integer)
        quant = integer.tensors[name].quant
        assert quant is not None
        made = BuildRecord(
            edgedistill_version=edgedistill.__version__,
            target=device.name,
            task=data.task,
            created_utc=records.now_utc(),
            recipe=json.loads(recipe.model_dump_json()),
            recipe_sha256=recipes.sha256(recipe),
            machine=machine(),
            versions=versions(),
            stage_hashes=run.hashes,
            stage_seconds=run.seconds,
            labels=data.labels,
            input_shape=integer.tensors[name].shape,
            input_scale=float(quant.scale[0]),
            input_zero_point=quant.zero_point,
            accuracy=accuracy.model_copy(update={"student_int8": int8}),
            graph=summary(integer, as_c="c" in formats, flash=planned),
            artifacts=_artifacts(folder),
            parity=proofs,
            measurements=measurements,
            epochs=epochs,
            robustness=robustness,
            confusion=tuple(tuple(int(v) for v in row) for row in confusion),
            warnings=tuple(run.warnings),
            lineage=tuple(run.lineage),
            int16=run.int16[-1] if run.int16 else None,
            sizing=run.sizing,
            guidance=tuple(run.guidance),
            steps=shares,
        )
        train = data.train
        shown = pictures.strips(train.images_NHWC, train.labels, data.labels) if recipe.data.synthetic else ()
        scores = integer.tensors[integer.outputs[0]].quant
        assert scores is not None
        wrong = mistakes.worst(
            answers, float(scores.scale[0]), data.test.images_NHWC, data.test.labels, data.labels
        )
        (folder / "report.html").write_text(render(made, shown, wrong), encoding="utf-8")
        records.save(made, folder / RECORD)
        for text in built.write(folder, device, recipe):
            reporter.note(text)
        publish(folder, out / device.name)
    broken = [row for row in proofs if row.broken]
    if broken and not inexact:
        worst = broken[0]
        raise ParityError(
            worst.difference,
            where=str(out / device.name / worst.artifact),
            fix="the files and the record were written: see the parity table of report.html for the operator",
        )
    return made


def export(
    integer: Graph,
    float_graph: Graph,
    meta: Metadata,
    folder: Path,
    recipe: Recipe,
    formats: tuple[Format, ...],
) -> None:
    """Prints ``formats`` into ``folder``: student.*, student-float32.* beside it, and c/."""
    for name in formats:
        row = EXPORTERS[name]
        path = row.path(folder)
        if name == "onnx":
            onnx_printer.write(integer, meta, path, form=recipe.export.onnx_form)
        elif name == "c":
            c_printer.write(integer, meta, path, recipe.export.family)
        else:
            row.write(integer, meta, path)
        if recipe.export.float32 and name not in ("coreml", "c"):
            row.write(float_graph, meta, row.path(folder, "student-float32"))


def _metadata(run: Run, integer: Graph, teacher: Teacher, data: ImageData) -> Metadata:
    quant = integer.tensors[integer.inputs[0]].quant
    assert quant is not None
    origin = "trained" if teacher is NOBODY else f"distilled from {teacher.name}"
    return Metadata(
        name="edgedistill student",
        description=f"{run.recipe.student.spec} {origin} on {data.name}, int8",
        labels=data.labels,
        input_scale=float(quant.scale[0]),
        input_zero_point=quant.zero_point,
        version=edgedistill.__version__,
        provenance={
            "recipe_sha256": recipes.sha256(run.recipe),
            "teacher": teacher.name,
            "teacher_fingerprint": teacher.fingerprint,
            "data": data.name,
            "data_fingerprint": data.fingerprint,
            **({"front_end": frontend.describe()} if data.task == "keyword-spotting" else {}),
        },
    )


def inputs_hash(run: Run, data: str, teacher: Teacher) -> str:
    """The hash of all that decides a finished build; ``data``: the fingerprints of what it reads."""
    parts = {"recipe": recipes.sha256(run.recipe), "data": data, "teacher": teacher.fingerprint}
    return key("inputs", {**parts, "version": edgedistill.__version__})


def _one_line(label: str) -> str:
    return " ".join(label.split())


_FORMATS = {
    "student.onnx": "onnx",
    "student.tflite": "tflite",
    "student.mlpackage": "coreml",
    "c": "c",
    npu.VELA: "tflite-vela",
    "student-float32.onnx": "onnx-float32",
    "student-float32.tflite": "tflite-float32",
    GOLDEN: "golden",
    GRAPH: "graph",
    "frontend.h": "frontend",
    "frontend.c": "frontend",
    "labels.txt": "labels",
    "recipe.toml": "recipe",
}


def _artifacts(folder: Path) -> tuple[Artifact, ...]:
    return tuple(
        Artifact(format=kind, path=name, sha256=sha256_of(folder / name), size_bytes=size_of(folder / name))
        for name, kind in _FORMATS.items()
        if (folder / name).exists()
    )
