"""Proves and times a build's .onnx and .tflite files in WebAssembly, in a real Chromium on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from edgedistill.bench.accuracy import REAL_STEP
from edgedistill.bench.compare import compared
from edgedistill.bench.files import GOLDEN, GRAPH, split
from edgedistill.bench.latency import summarise
from edgedistill.bench.machine import machine
from edgedistill.bench.places import Found, Request
from edgedistill.errors import GateError, InputError
from edgedistill.export import tflite, tflite_batch
from edgedistill.export.metadata import Metadata
from edgedistill.ir import golden, serial
from edgedistill.ir.graph import Graph
from edgedistill.record import Measurement, Parity
from edgedistill.runners import browser
from edgedistill.runners.browser import Answered, Border, Task, chromium, packages

WRAPPED = "printed again with float32 borders and batch 1, which LiteRT.js asks for"
REMEDY = "build again; if it stays so, report the difference and the browser's version"


def bench(request: Request) -> Found:
    """The same bytes, latency and memory of each model file, int8 and float32; one browser for each.

    Raises:
        InputError: there is no .onnx and no .tflite file, no golden.npz, no graph.npz, or not the program
            that was named.
        GateError: a model does not run there, or the browser crashes or hangs.
    """
    folder, models = split(request.path)
    runnable = [model for model in models if model.suffix in browser.RUNTIMES]
    if not runnable:
        raise InputError(
            "there is no .onnx and no .tflite file", where=str(folder), fix="build with --formats onnx,tflite"
        )
    vectors, graph = golden.load(folder / GOLDEN), _graph(folder)
    program = request.address
    if program and chromium.find(program) is None:
        raise InputError(
            f"there is no program {program}", where=f"--on {request.on}", fix="name a Chromium, or none"
        )
    reason = browser.missing(program) or _reason_not_fetched()
    if reason is not None:
        return _not_run(runnable, program, reason)
    measurements: list[Measurement] = []
    parity: list[Parity] = []
    for model in runnable:
        task = replace(
            task_of(model, graph, vectors, threads=request.threads_or_default),
            runs=request.runs,
            warmup=request.warmup,
        )
        answered = browser.run(task, program=program)
        measurements += rows(answered, task, model)
        if not task.is_float:
            parity.append(proof(answered, task, model, vectors))
    return Found(tuple(measurements), tuple(parity), remedy=REMEDY)


def task_of(model: Path, graph: Graph, vectors: golden.Golden, *, threads: int = 1) -> Task:
    """A model file's answers to the golden inputs, untimed; a float32 twin's to the first alone.

    Args:
        model: .onnx as it is; .tflite as ``graph`` is printed for LiteRT.js.
        graph: the build's integer graph.
        vectors: its golden vectors.
        threads: of the runtime.
    """
    is_float = "float32" in model.name
    entry, end = (Border.of(graph.tensors[name]) for name in (graph.inputs[0], graph.outputs[0]))
    if is_float:
        entry = replace(entry, scale=1 / REAL_STEP, zero_point=0)
    return Task(
        model=_printed(model, graph, is_float),
        runtime=browser.RUNTIMES[model.suffix],
        inputs=vectors.inputs[:1] if is_float else vectors.inputs,
        input=entry,
        output=end,
        is_float=is_float,
        threads=threads,
    )


def float32_borders(graph: Graph) -> bytes:
    """The .tflite file that LiteRT.js runs, of batch 1: QUANTIZE, the network of ``graph``, DEQUANTIZE."""
    entry = Border.of(graph.tensors[graph.inputs[0]])
    meta = Metadata(graph.name, "", graph.labels, entry.scale, entry.zero_point, "0")
    return tflite_batch.of_one(tflite.to_bytes(graph, meta, io="float32"))


def _printed(model: Path, graph: Graph, is_float: bool) -> bytes:
    if model.suffix == ".onnx":
        return _bytes(model)
    return tflite_batch.of_one(_bytes(model)) if is_float else float32_borders(graph)


def proof(answered: Answered, task: Task, model: Path, vectors: golden.Golden) -> Parity:
    """The answers beside the interpreter's."""
    note = f"{len(vectors.inputs)} golden inputs, {_threads(task.threads)}"
    if model.suffix == ".tflite":
        note += f", {WRAPPED}"
    return compared(vectors.outputs, answered.outputs, model, answered.runtime, "measured", note)


def rows(answered: Answered, task: Task, model: Path) -> Iterator[Measurement]:
    """Latency and memory of what was run."""
    wrapped = WRAPPED if model.suffix == ".tflite" and not task.is_float else ""
    how = f"windows of {answered.batch}, the page's clock steps by {answered.clock_step_ms * 1e3:.3g} µs"
    yield summarise(
        answered.samples_ms,
        artifact=model.name,
        runtime=answered.runtime,
        device=machine(),
        threads=task.threads,
        warmup=answered.warmup,
        note="; ".join(part for part in (how, wrapped) if part),
    ).model_copy(update={"count": answered.samples_ms.size * answered.batch})
    yield Measurement(
        quantity="peak_memory",
        value=float(answered.memory_bytes),
        unit="bytes",
        how="measured",
        artifact=model.name,
        runtime=answered.runtime,
        device=machine(),
        count=1,
        threads=task.threads,
        note="WebAssembly's linear memory, with the runtime's own; "
        f"{answered.loaded_bytes:,} before the first call",
    )
    yield Measurement(
        quantity="model_bytes",
        value=float(len(task.model)),
        unit="bytes",
        how="measured",
        artifact=model.name,
        note=wrapped,
    )


def _graph(folder: Path) -> Graph:
    path = folder / GRAPH
    if not path.exists():
        raise InputError(
            f"there is no {GRAPH}, which says what the inputs and outputs are",
            where=str(folder),
            fix="copy it from the build's folder",
        )
    return serial.load(path)


def _bytes(model: Path) -> bytes:
    try:
        return model.read_bytes()
    except OSError as error:
        raise InputError(f"the model cannot be read: {error.strerror}", where=str(model)) from error


def _reason_not_fetched() -> str | None:
    try:
        packages.gather()
    except GateError as error:
        return f"{error.what}; {error.fix}" if error.fix else error.what
    return None


def _not_run(models: list[Path], program: str, reason: str) -> Found:
    measurements, parity = [], []
    for model in models:
        runtime = browser.label(browser.RUNTIMES[model.suffix], program)
        measurements += [
            Measurement(
                quantity=quantity,
                value=None,
                unit=unit,
                how="not run",
                artifact=model.name,
                runtime=runtime,
                device=machine(),
                note=reason,
            )
            for quantity, unit in (("latency", "ms"), ("peak_memory", "bytes"))
        ]
        if "float32" not in model.name:
            parity.append(Parity(runtime=runtime, artifact=model.name, how="not run", note=reason))
    return Found(tuple(measurements), tuple(parity))


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"
