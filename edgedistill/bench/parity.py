"""Compares every runtime with the interpreter, value by value, before an artifact is handed over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.bench import emulated
from edgedistill.bench.compare import compare, compared
from edgedistill.bench.coreml import coreml
from edgedistill.bench.files import COREML, GOLDEN, GRAPH, INT8, C, check_digests, split
from edgedistill.bench.reference import litert_reference, litert_reference_values
from edgedistill.errors import EdgeDistillError, GateError, InputError
from edgedistill.ir import golden, interpret, serial
from edgedistill.ir.graph import Graph
from edgedistill.record import Parity
from edgedistill.runners import RUNNERS, aarch64, cortex_m
from edgedistill.target import Target

BATCH = 250  # inputs per call of a runtime: bounds the memory of its values in between
TRACED = 8  # inputs with a wrong answer that are followed through every layer

Int8 = NDArray[np.int8]


@dataclass(frozen=True)
class Divergence:
    """The first value, in the graph's order, that a runtime computes differently."""

    runtime: str
    tensor: str
    values: int
    differing: int
    max_lsb: int

    def __str__(self) -> str:
        return (
            f"{self.runtime}: {self.tensor!r} differs first, in {self.differing} of {self.values} values, "
            f"at most {self.max_lsb} LSB"
        )


def parity(
    graph: Graph,
    folder: Path,
    x: Int8,
    expected_f: Int8 | None = None,
    running: emulated.CAnswers | None = None,
) -> tuple[Parity, ...]:
    """Runs ``x`` int8 [N, ...] through every int8 file of ``folder`` and the interpreter.

    Files of formats that were not asked for are left out; a runtime that cannot run here is
    a row with how='not run'.

    Args:
        expected_f: what the interpreter answers in family F [N, ...], where that is known already.
        running: the C files with the same ``x``, where ``emulated.start`` began with them already.

    Raises:
        ParityError: a runtime refuses a file or answers in another shape.
    """
    present = [folder / file for file in INT8 if (folder / file).exists()]
    if expected_f is None:
        computed = interpret.run_batched(graph, {graph.inputs[0]: x})[graph.outputs[0]]
        expected_f = np.asarray(computed, np.int8)
    with ThreadPoolExecutor(2) as beside:  # a compiler and slow kernels work while other runtimes answer
        as_c = (
            beside.submit(_c_here, folder, graph, x, expected_f, running) if (folder / C).exists() else None
        )
        slow = [beside.submit(_reference, path, graph, x) for path in present if path.suffix == ".tflite"]
        rows = [row for path in present for row in _family_f(path, expected_f, x, graph)]
        rows += [row.result() for row in slow]
        if (folder / COREML).exists():
            rows.append(coreml(folder / COREML, graph, x, expected_f))
        if as_c is not None:
            rows.append(as_c.result())
    return tuple(rows)


def _c_here(
    folder: Path, graph: Graph, x: Int8, expected_f: Int8, running: emulated.CAnswers | None
) -> Parity:
    """The C files on this machine, in their own family."""
    expected, family = expected_f, emulated.family_of(folder)
    if family != "F":
        computed = interpret.run_batched(graph, {graph.inputs[0]: x}, family)[graph.outputs[0]]
        expected = np.asarray(computed, np.int8)
    return emulated.on_this_machine(folder, x, expected, running)


def verify_dir(
    path: Path, *, device: Target | None = None, cc: str = cortex_m.CC, trust: bool = False
) -> tuple[Parity, ...]:
    """Proves a finished build again from its files alone: digests, then golden inputs in each runtime.

    Firmware on an emulator also gets random inputs, where the graph is there to say what is right.

    Args:
        path: a build's folder, or one model with golden.npz beside it.
        device: whose emulator runs the C files; None: the one that the record names.
        cc: GCC for Arm.
        trust: compile and run the folder's C files; without it their row says that they were not run.

    Raises:
        InputError: a file is missing or cannot be read, or C alone is named and not trusted.
        GateError: a file was altered since it was built, or a runtime refuses it.
    """
    folder, models = split(path)
    vectors = folder / GOLDEN
    if not vectors.exists():
        raise InputError(
            f"there is no {GOLDEN}, so there is nothing to compare with",
            where=str(folder),
            fix="copy it from the build's folder",
        )
    check_digests(folder, None if path == folder else (*models, vectors))
    x, expected = _golden(vectors)
    graph = _graph(folder / GRAPH)
    rows = []
    for model in models:
        if "float32" in model.name:
            continue  # golden vectors are int8
        if model.suffix == ".mlpackage":
            rows.append(coreml(model, graph, x, expected))
            continue
        if model.name == C and not trust:
            if path == model:
                raise emulated.untrusted(model)
            rows.append(emulated.not_trusted())
            continue
        if model.name == C:
            rows += _c(folder, graph, device or emulated.device_of(folder), cc)
            continue
        rows += _family_f(model, expected, x, graph)
        if model.suffix == ".tflite" and graph is not None:
            rows.append(_reference(model, graph, x))
    if not rows:
        raise InputError(
            "there is no int8 model to verify; golden vectors are int8",
            where=str(path),
            fix=f"give {' or '.join(INT8)}",
        )
    return tuple(rows)


def _c(folder: Path, graph: Graph | None, device: Target | None, cc: str) -> Iterator[Parity]:
    """The C files on this machine, and as a program or firmware where the device has an emulator."""
    vectors = emulated.c_vectors(folder)
    x, expected = vectors.inputs, vectors.outputs
    if graph is not None:
        x, expected = emulated.with_random(graph, x, family=emulated.family_of(folder))
    yield emulated.on_this_machine(folder, x, expected)
    if device is not None and device.default_runner == "cortex-m":
        yield emulated.on_device(folder, device, x, expected, cc=cc, graph=graph).parity
    elif device is not None and aarch64.architecture(device) is not None:
        yield emulated.on_64_bit_arm(folder, device, x, expected, graph)


def layerwise(graph: Graph, folder: Path, x: Int8) -> Divergence | None:
    """The first tensor, in the graph's order, that a runtime computes differently from family F.

    Runtimes fuse operators, so only the tensors that a runtime shows are compared.
    """
    for path in (folder / file for file in INT8 if (folder / file).exists()):
        runner, label = _open(path, "F")
        found = _first_difference(graph, runner, label, x, "F")
        if found is not None:
            return found
    return None


def _first_difference(
    graph: Graph, runner: Any, label: str, x: Int8, family: interpret.Family
) -> Divergence | None:
    if family == "D":
        every = litert_reference_values(graph, x)
    else:
        every = interpret.run(graph, {graph.inputs[0]: x}, keep=True)
    shown = runner.run_all(x)
    for name in graph.activations():
        got = shown.get(name)
        right = every[name]
        if got is None or got.shape != right.shape or (got.dtype != np.int8 and right.dtype != np.int16):
            continue
        identical, values, worst, _ = compare(right, got.astype(right.dtype))  # ONNX: int16 as whole float32
        if identical != values:
            return Divergence(label, name, values, values - identical, worst)
    return None


def _family_f(path: Path, expected: Int8, x: Int8, graph: Graph | None) -> list[Parity]:
    """One file against family F; a QDQ file also under the runtime's default options."""
    if not _is_qdq(path):
        return [_against(path, expected, x, "F", graph)]
    allowed = "session.qdqisint8allowed=1"
    return [
        _against(path, expected, x, "F", graph, form=allowed, qdq_int8=True),
        _against(path, expected, x, "F", graph, form="QDQ form, default options", promised=False),
    ]


def _reference(path: Path, graph: Graph, x: Int8) -> Parity:
    """A .tflite file in LiteRT's reference kernels, against what they are known to compute; not promised."""
    return _against(path, litert_reference(graph, x), x, "D", graph, promised=False)


def _against(
    path: Path,
    expected: Int8,
    x: Int8,
    family: interpret.Family,
    graph: Graph | None,
    *,
    form: str = "",
    qdq_int8: bool = False,
    promised: bool = True,
) -> Parity:
    """One file in its runtime against the interpreter; where they differ, the first tensor that does.

    Args:
        form: what a QDQ file's row says of its options.
        qdq_int8: ONNX Runtime's option that keeps a QDQ file's values int8 between operators.
        promised: whether other bits break the gate.
    """
    runtime = "litert" if path.suffix == ".tflite" else "onnxruntime"
    if not RUNNERS[runtime].can_run_here:
        return Parity(
            runtime=runtime, artifact=path.name, family=family, how="not run", note="not installed here"
        )
    runner, label = _open(path, family, qdq_int8=qdq_int8)
    try:
        got = np.concatenate([runner.run(part) for part in _batches(x)])
    except InputError as error:
        raise GateError(
            f"{label} cannot run this file: {error.what}", where=str(path), fix=error.fix
        ) from error
    notes = [f"{len(x)} inputs"]
    if form:
        notes.append(form)
    if family == "D":
        notes.append("fully connected layers round once")
    row = compared(expected, got, path, label, "measured", "", family=family, promised=promised)
    if row.identical != row.values and graph is not None:
        wrong = (got != expected).reshape(len(x), -1).any(axis=1)
        found = _first_difference(graph, runner, label, x[wrong][:TRACED], family)
        if found is not None:
            notes.append(f"differs first at {found.tensor}")
    return row.model_copy(update={"note": ", ".join(notes)})


def _open(path: Path, family: interpret.Family, *, qdq_int8: bool = False) -> tuple[Any, str]:
    """The loaded model and the runtime's name; a file that a runtime refuses fails the gate."""
    make: Callable[[], Any]
    if path.suffix == ".tflite":
        from edgedistill.runners.litert import LiteRt

        kind = "litert-reference" if family == "D" else "litert-xnnpack"

        def make() -> Any:
            return LiteRt(path, reference=family == "D")
    else:
        from edgedistill.runners.ort import Ort

        kind = "onnxruntime"

        def make() -> Any:
            return Ort(path, qdq_int8=qdq_int8)

    try:
        runner = make()
    except EdgeDistillError as error:
        raise GateError(f"{kind} refuses the file: {error.what}", where=str(path), fix=error.fix) from error
    return runner, f"{kind} {runner.version}"


def _is_qdq(path: Path) -> bool:
    """Whether an ONNX file is written in the QDQ form (its own metadata says so)."""
    if path.suffix != ".onnx":
        return False
    import onnx

    try:
        model = onnx.load(path)
    except (
        Exception
    ):  # protobuf's errors share no public class; the runtime names what is wrong with the file
        return False
    return any(p.key == "form" and p.value == "qdq" for p in model.metadata_props)


def _batches(x: Int8) -> Iterator[Int8]:
    for start in range(0, len(x), BATCH):
        yield x[start : start + BATCH]


def _golden(path: Path) -> tuple[Int8, Int8]:
    vectors = golden.load(path)
    return vectors.inputs, vectors.outputs


def _graph(path: Path) -> Graph | None:
    return serial.load(path) if path.exists() else None
