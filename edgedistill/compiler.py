"""The page of `edgedistill compile`: a network made elsewhere is read, printed, proven and published."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import edgedistill
from edgedistill import record as records
from edgedistill import units
from edgedistill.bench import emulated, npu
from edgedistill.bench.compare import compare
from edgedistill.bench.files import GOLDEN, GRAPH, RECORD, sha256_of, size_of
from edgedistill.bench.machine import machine, versions
from edgedistill.bench.parity import parity
from edgedistill.bench.summary import summary
from edgedistill.errors import BudgetError, EdgeDistillError, InputError, ParityError
from edgedistill.export import EXPORTERS, c
from edgedistill.export.c import project
from edgedistill.export.metadata import Metadata
from edgedistill.ir import golden, plan, serial, verify
from edgedistill.ir.graph import Graph
from edgedistill.ir.interpret import Family
from edgedistill.read import read
from edgedistill.recipe import no_c
from edgedistill.record import Accuracy, Artifact, BuildRecord, Measurement, Parity, PlannedFlash
from edgedistill.reporter import QuietReporter, Reporter
from edgedistill.runners.cortex_m import board
from edgedistill.sizing import fits
from edgedistill.sizing.flash import of_printed
from edgedistill.store import check_writable, publish
from edgedistill.target import Target

SEED = 0  # of the random inputs: the same model gives the same golden vectors
ANY_TARGET = "any"

Int8 = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Compiled:
    """What was published: the graph, and the record beside the files."""

    graph: Graph
    record: BuildRecord
    out: Path

    def raise_if_broken(self) -> None:
        """The gate: a runtime may differ only where the graph has operators that are not exact.

        Raises:
            ParityError: it differs although every operator is exact by construction.
        """
        broken = [row for row in self.record.parity if row.broken]
        if not broken or not self.record.graph.exact_by_construction:
            return
        worst = max(broken, key=lambda row: row.max_lsb)
        raise ParityError(
            worst.difference,
            where=str(self.out / worst.artifact),
            fix=f"the files were written; {worst.note or 'use another version of the runtime'}",
        )


def compile_model(
    model: Path,
    out: Path,
    formats: Sequence[str],
    *,
    target: Target | None = None,
    inputs: int = 16,
    family: Family = "F",
    reporter: Reporter | None = None,
) -> Compiled:
    """Reads ``model``, prints it in every format, compares every runtime, and publishes ``out``.

    Args:
        formats: keys of EXPORTERS.
        target: whose memory the network has to fit.
        inputs: random golden inputs, through every runtime.
        family: of the C files' arithmetic; the other formats are of family F.

    Raises:
        InputError: the file is no network that can be compiled, or a family is chosen without C.
        UnsupportedOpError: operators that C lacks in this family.
        BudgetError: the network does not fit the target; nothing was written.
    """
    reporter = reporter or QuietReporter()
    started = time.perf_counter()
    if family != "F" and "c" not in formats:
        raise no_c(family, "--family")
    loaded = read(model)
    graph = _one_way(loaded.graph, model)
    reporter.stage("read", f"{model.name}: {len(graph.ops)} operators, {plan.parameters(graph):,} parameters")
    _fits(graph, target, formats)
    check_writable(out.absolute().parent)
    seconds = {"read": time.perf_counter() - started}
    with (
        tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.absolute().parent) as scratch,
        ThreadPoolExecutor(2) as beside,
    ):
        folder = Path(scratch) / out.name
        folder.mkdir()
        reporter.stage("export", ", ".join(formats))
        started = time.perf_counter()
        meta = _metadata(graph, model)
        printed = c.to_text(graph, meta, family) if "c" in formats else None
        x = random_inputs(graph, inputs)
        planning, running = None, None
        if printed is not None:  # compilers work while everything else is printed and proven
            c.save(printed, EXPORTERS["c"].path(folder))
            running = emulated.start(folder, x, beside)
            planning = beside.submit(of_printed, printed, graph, target) if target else None
        for name in formats:
            if name != "c":
                EXPORTERS[name].write(graph, meta, EXPORTERS[name].path(folder))
        vectors = golden.golden(graph, x)
        golden.save(vectors, folder / GOLDEN)
        if printed is not None:
            project.write(graph, meta, vectors, EXPORTERS["c"].path(folder), family)
            board.write(EXPORTERS["c"].path(folder))
        (folder / GRAPH).write_bytes(serial.to_bytes(graph))
        if graph.labels:
            (folder / "labels.txt").write_text("".join(f"{v}\n" for v in graph.labels), encoding="utf-8")
        seconds["export"] = time.perf_counter() - started
        if planning is None:
            _fits_flash(folder, formats, target)
        reporter.stage("verify", f"{len(x)} random inputs in every runtime")
        started = time.perf_counter()
        proofs = parity(graph, folder, x, vectors.outputs, running)
        flash = None
        if planning is not None:  # what C takes is judged before the size of other files
            flash = planning.result()
            _fits_code(flash, target)
            _fits_flash(folder, formats, target)
        notes = (*loaded.notes, *_as_given(model, graph, x, vectors.outputs), *_inexact_notes(graph, proofs))
        seconds["verify"] = time.perf_counter() - started
        on_npu = npu.on_npu(graph, target, meta, folder) if target is not None and target.npu else ()
        made = _record(graph, model, meta, folder, target, proofs, notes, seconds, family, flash, on_npu)
        records.save(made, folder / RECORD)
        publish(folder, out)
    for note in notes:
        reporter.warn(note)
    return Compiled(graph, made, out)


def random_inputs(graph: Graph, count: int) -> Int8:
    """int8 [count, ...], uniform over all values."""
    shape = (count, *graph.tensors[graph.inputs[0]].shape[1:])
    return np.random.default_rng(SEED).integers(-128, 128, shape).astype(np.int8)


def _one_way(graph: Graph, model: Path) -> Graph:
    """The network under its file's name, if it has one input and one output."""
    ends = (len(graph.inputs), len(graph.outputs))
    if ends != (1, 1):
        raise InputError(
            f"this network has {ends[0]} inputs and {ends[1]} outputs",
            where=str(model),
            fix="give a network with one input and one output",
        )
    return graph.replace(name=model.stem)  # converters call every network "main"


def _fits(graph: Graph, target: Target | None, formats: Sequence[str]) -> None:
    """Before anything is written: activations in RAM, and weights in flash."""
    if target is None:
        return
    as_c = "c" in formats
    found = fits.needs(graph, as_c=as_c)
    if target.ram_bytes is not None and found.ram_bytes > target.ram_bytes.value:
        what = "arena and stack need" if as_c else "the activations need"
        _too_large(target, what, found.ram_bytes, "RAM", target.ram_bytes.value)
    if target.flash_bytes is not None and found.flash_bytes > target.flash_bytes.value:
        _too_large(target, "the weights alone need", found.flash_bytes, "flash", target.flash_bytes.value)


def _fits_code(flash: PlannedFlash | None, target: Target | None) -> None:
    """Before anything is published: constants and code in flash."""
    if flash is None or target is None or target.flash_bytes is None:
        return
    if flash.total_bytes > target.flash_bytes.value:
        _too_large(target, "constants and code need", flash.total_bytes, "flash", target.flash_bytes.value)


def _fits_flash(folder: Path, formats: Sequence[str], target: Target | None) -> None:
    if target is None or target.flash_bytes is None:
        return
    for name in formats:
        path = EXPORTERS[name].path(folder)
        if name in target.formats.value and path.is_file() and size_of(path) > target.flash_bytes.value:
            _too_large(target, f"{path.name} has", size_of(path), "flash", target.flash_bytes.value)


def _too_large(target: Target, what: str, need: int, memory: str, have: int) -> None:
    raise BudgetError(
        f"{what} {need:,} bytes ({units.format_bytes(need)}); {target.title} has {have:,} bytes of {memory}",
        where=f"target {target.name}",
        fix="compile a smaller network, or choose a target with more memory (`edgedistill targets list`)",
    )


def _metadata(graph: Graph, model: Path) -> Metadata:
    quant = graph.tensors[graph.inputs[0]].quant
    assert quant is not None
    return Metadata(
        name=model.stem,
        description=f"compiled from {model.name}, int8",
        labels=graph.labels,
        input_scale=float(quant.scale[0]),
        input_zero_point=quant.zero_point,
        version=edgedistill.__version__,
        provenance={"source": model.name, "source_sha256": sha256_of(model)},
    )


def _as_given(model: Path, graph: Graph, x: Int8, expected: Int8) -> tuple[str, ...]:
    """Where the file itself, in its own runtime, answers otherwise than the graph read from it."""
    if model.suffix.lower() != ".tflite":
        return ()
    from edgedistill.runners.litert import LiteRt

    try:
        runner = LiteRt(model.read_bytes())
        got = runner.run_all(x).get(graph.outputs[0])
        if got is None:
            return ()
        identical, values, worst, flips = compare(expected, got)
    except EdgeDistillError:  # float32 or uint8 at its border, or a batch that cannot be changed
        return ()
    if identical == values:
        return ()
    return (
        f"{model.name} as given, in {runner.name}: {identical:,} of {values:,} values as the interpreter "
        f"has them, at most {worst} LSB apart, {flips} changed answers",
    )


def _inexact_notes(graph: Graph, proofs: Sequence[Parity]) -> tuple[str, ...]:
    if not verify.inexact(graph):
        return ()
    return tuple(
        f"{row.difference}, as operators that are not exact by construction may"
        for row in proofs
        if row.broken
    )


def _record(
    graph: Graph,
    model: Path,
    meta: Metadata,
    folder: Path,
    target: Target | None,
    proofs: tuple[Parity, ...],
    notes: tuple[str, ...],
    seconds: dict[str, float],
    family: Family,
    flash: PlannedFlash | None,
    on_npu: tuple[Measurement, ...],
) -> BuildRecord:
    source: dict[str, object] = {"compile": dict(meta.provenance)}
    if family != "F":
        source["export"] = {"family": family}
    return BuildRecord(
        edgedistill_version=edgedistill.__version__,
        target=target.name if target else ANY_TARGET,
        created_utc=records.now_utc(),
        recipe=source,
        recipe_sha256=hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest(),
        machine=machine(),
        versions=versions(),
        stage_hashes={"source": meta.provenance["source_sha256"]},
        stage_seconds=seconds,
        labels=graph.labels,
        input_shape=graph.tensors[graph.inputs[0]].shape,
        input_scale=meta.input_scale,
        input_zero_point=meta.input_zero_point,
        accuracy=Accuracy(),
        graph=summary(graph, as_c=EXPORTERS["c"].path(folder).exists(), flash=flash),
        artifacts=_artifacts(folder),
        parity=proofs,
        measurements=on_npu,
        warnings=notes,
    )


_KINDS = {GOLDEN: "golden", GRAPH: "graph", "labels.txt": "labels", npu.VELA: "tflite-vela"}


def _artifacts(folder: Path) -> tuple[Artifact, ...]:
    kinds = _KINDS | {row.path(Path()).name: name for name, row in EXPORTERS.items()}
    return tuple(
        Artifact(format=kind, path=name, sha256=sha256_of(folder / name), size_bytes=size_of(folder / name))
        for name, kind in kinds.items()
        if (folder / name).exists()
    )
