"""Proves and times a finished build on an Android phone, and measures its energy from the phone's battery."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgedistill.bench import phone_energy, statistics
from edgedistill.bench.compare import compared
from edgedistill.bench.emulated import c_vectors, family_of, not_trusted, proof, untrusted
from edgedistill.bench.files import GOLDEN, C, check_digests, sha256_of, split
from edgedistill.bench.places import Found, Request
from edgedistill.errors import GateError, InputError
from edgedistill.ir import golden
from edgedistill.record import Measurement, Parity
from edgedistill.runners import adb, android, benchmark_model, c_program, phone_student
from edgedistill.runners.adb import Phone
from edgedistill.runners.android import Facts
from edgedistill.runners.battery import PHASE_S, ROUNDS

REMEDY = "build again; if it stays so, compile the C files with -DEDGE_PORTABLE, and report the difference"
PROVED = 5  # golden inputs that LiteRT answers there: each takes a process of its own
AGAIN = 3  # times that inferences are timed once more, as long as their median is not well known
_HEX = 12


@dataclass(frozen=True)
class Rows:
    """Of one artifact."""

    measurements: tuple[Measurement, ...] = ()
    parity: tuple[Parity, ...] = ()


def bench(request: Request) -> Found:
    """``on_phone``, of the phone whose serial is the request's address, or of the only one.

    Raises:
        InputError: there is no such phone, or as ``on_phone``.
        GateError: as ``on_phone``.
    """
    return on_phone(request, adb.find(request.address))


def on_phone(
    request: Request,
    phone: Phone,
    root: str = "",
    *,
    rounds: int = ROUNDS,
    phase_s: float = PHASE_S,
) -> Found:
    """The C files, and the int8 TFLite file where LiteRT's benchmark_model is named.

    Args:
        request: ``cc`` a compiler for 64-bit Arm, if it is not the default; ``trust`` as in ``bench_c``.
        phone: that accepts this computer.
        root: as in ``runners.android``.
        rounds: of idle time and load, for energy.
        phase_s: seconds of each.

    Raises:
        InputError: the phone is no 64-bit Arm, or there is nothing that can be run on it.
        GateError: a program fails there, or the phone is lost, full, or hangs; nothing is returned then.
    """
    folder, models = split(request.path)
    facts = android.facts(phone, root)
    if facts.abi != android.ABI:
        raise InputError(
            f"the phone is {facts.abi or 'no Android phone'}, not {android.ABI}",
            where=f"--on {request.on}",
            fix="connect a phone with a 64-bit Arm",
        )
    if facts.emulator == "1":
        raise InputError(
            "this is Android's emulator: its times say nothing of a phone",
            where=f"--on {request.on}",
            fix="connect a phone; for the bytes alone, say --on qemu-user",
        )
    c_files = next((model for model in models if model.name == C), None)
    tool = benchmark_model.find(request.benchmark_model)
    tflite = next(
        (model for model in models if model.suffix == ".tflite" and "float32" not in model.name), None
    )
    runnable = [model for model in (c_files, tflite if tool is not None else None) if model is not None]
    if not runnable:
        raise InputError(
            "there are no C files in this build, and no benchmark_model is named",
            where=str(folder),
            fix=f"build with --formats c,tflite, or name it: --benchmark-model, {benchmark_model.VARIABLE}",
        )
    if runnable == [c_files] and c_files is not None and not request.trust:
        raise untrusted(c_files)
    check_digests(folder, tuple(file for model in runnable for file in _files(model)))
    digest = hashlib.sha256("".join(sha256_of(model) for model in runnable).encode())
    before = android.state(phone, root)
    rows: list[Rows] = []
    with phone.folder(digest.hexdigest()[:_HEX]) as remote, tempfile.TemporaryDirectory() as temporary:
        here = Path(temporary)
        energy = phone_energy.Asked(root, rounds, phase_s)
        if c_files is not None:
            rows.append(_student(request, phone, facts, folder, remote, here, energy))
        if tflite is not None:
            rows.append(
                _no_tool(facts, tflite)
                if tool is None
                else _litert(request, phone, facts, tflite, folder, tool, remote, here, energy)
            )
        after = android.state(phone, root)
    measured = tuple(row for one in rows for row in one.measurements)
    return Found(
        tuple(_with_state(row, before, after) for row in measured),
        tuple(row for one in rows for row in one.parity),
        notes=(f"{facts.title}: before {before.words()}; after {after.words()}",),
        remedy=REMEDY,
    )


def _files(model: Path) -> tuple[Path, ...]:
    return (model, *sorted(model.iterdir())) if model.is_dir() else (model,)


def _with_state(row: Measurement, before: android.State, after: android.State) -> Measurement:
    """Times and energy depend on clocks and heat."""
    if row.value is None or row.unit not in ("ms", "mJ"):
        return row
    note = f"{row.note}; before {before.words()}; after {after.words()}"
    return row.model_copy(update={"note": note})


def _student(
    request: Request,
    phone: Phone,
    facts: Facts,
    folder: Path,
    remote: PurePosixPath,
    here: Path,
    energy: phone_energy.Asked,
) -> Rows:
    """The C files, compiled for the phone."""
    runtime = f"c on {facts.title}"
    if not request.trust:
        return Rows(parity=(not_trusted(),))
    cc = phone_student.compiler(request.cc if request.cc != Request.cc else None)
    if isinstance(cc, str):
        idle = Parity(runtime=runtime, artifact=C, family=family_of(folder), how="not run", note=cc)
        row = Measurement(
            quantity="latency",
            value=None,
            unit="ms",
            how="not run",
            artifact=C,
            runtime=runtime,
            device=facts.title,
            note=cc,
        )
        return Rows((row,), (idle,))
    vectors = c_vectors(folder)
    program = phone_student.build(folder / C, vectors.inputs, cc, facts.architecture, here)
    phone_student.put(phone, program, remote)
    size = vectors.outputs.nbytes // len(vectors.outputs)
    count = len(vectors.inputs)
    ran = phone_student.run(phone, remote, count, size, runs=request.runs, warmup=request.warmup)
    times_ms = (ran.times_us / 1e3).tolist()
    for _ in range(AGAIN):
        if statistics.enough(times_ms):
            break
        more = phone_student.run(phone, remote, count, size, runs=request.runs, warmup=request.warmup)
        times_ms += (more.times_us / 1e3).tolist()
    compiled = f"{c_program.version(cc[0])}, {facts.architecture}"
    parity = proof(
        runtime, "measured", vectors.inputs, vectors.outputs, ran.outputs, compiled, family_of(folder)
    )
    rows = [_latency(times_ms, runtime, facts, compiled, request.warmup)]
    rows += _peak(ran, runtime, facts)
    if not parity.broken:  # what computes something else has no energy worth knowing
        work = phone_student.work(energy.phase_s)
        rows.append(phone_energy.energy(phone, remote, energy, work, rows[0]))
    return Rows(tuple(rows), (parity,))


def _latency(times_ms: list[float], runtime: str, facts: Facts, compiled: str, warmup: int) -> Measurement:
    found = statistics.summary(times_ms)
    return Measurement(
        quantity="latency",
        value=found.median,
        unit="ms",
        how="measured",
        artifact=C,
        runtime=runtime,
        device=facts.title,
        count=found.count,
        p50=found.median,
        p90=found.p90,
        p99=found.p99,
        threads=1,
        note=f"the phone's monotonic clock, median of {found.count}{phone_energy.interval(found, 'ms')}, "
        f"{found.minimum:.4g} to {found.maximum:.4g} ms, {warmup} warm-up runs not counted; {compiled}",
    )


def _peak(ran: phone_student.Ran, runtime: str, facts: Facts) -> Iterator[Measurement]:
    if ran.peak_bytes is None or ran.before_bytes is None:
        return
    yield Measurement(
        quantity="peak_memory",
        value=float(max(0, ran.peak_bytes - ran.before_bytes)),
        unit="bytes",
        how="measured",
        artifact=C,
        runtime=runtime,
        device=facts.title,
        count=1,
        threads=1,
        note=f"VmHWM beyond {ran.before_bytes:,} bytes before the first inference",
    )


def _no_tool(facts: Facts, model: Path) -> Rows:
    reason = f"no benchmark_model is named (--benchmark-model, {benchmark_model.VARIABLE})"
    return Rows(
        parity=(Parity(runtime=f"litert on {facts.title}", artifact=model.name, how="not run", note=reason),)
    )


def _litert(
    request: Request,
    phone: Phone,
    facts: Facts,
    model: Path,
    folder: Path,
    tool: Path,
    remote: PurePosixPath,
    here: Path,
    energy: phone_energy.Asked,
) -> Rows:
    """The TFLite file in LiteRT's own benchmark_model."""
    vectors = golden.load(folder / GOLDEN)
    there, threads = remote / "model.tflite", request.threads_or_default
    benchmark_model.put(phone, tool, remote)
    phone.push(model, there)
    report = benchmark_model.measure(
        phone, remote, there, runs=request.runs, warmup=request.warmup, threads=threads
    )
    runtime = f"litert on {facts.title}"
    few = golden.Golden(vectors.inputs[:PROVED], vectors.outputs[:PROVED], vectors.checksums)
    size = few.outputs.nbytes // len(few.outputs)
    note = f"{len(few.inputs)} of {len(vectors.inputs)} golden inputs, benchmark_model"
    try:
        got = benchmark_model.answer(phone, remote, there, few.inputs, size, threads=threads, here=here)
    except GateError as error:  # tools before 2023 know no --output_filepath
        with contextlib.suppress(GateError):
            phone.run(["rm", "-f", str(remote / "y.bin")])
        reason = f"this benchmark_model gives no outputs: {error.what}"[:400]
        parity = Parity(runtime=runtime, artifact=model.name, how="not run", note=reason)
    else:
        expected = few.outputs
        answers = got.reshape(expected.shape) if got.size == expected.size else got
        parity = compared(expected, answers, model, runtime, "measured", note)
    by_kind = benchmark_model.profile(phone, remote, there, threads=threads)
    rows = list(_reported(report, by_kind, runtime, facts, model, threads))
    work = benchmark_model.work(remote, there, threads=threads, seconds=energy.phase_s)
    rows.append(phone_energy.energy(phone, remote, energy, work, rows[0]))
    return Rows(tuple(rows), (parity,))


def _reported(
    report: benchmark_model.Report,
    by_kind: tuple[benchmark_model.Operators, ...],
    runtime: str,
    facts: Facts,
    model: Path,
    threads: int,
) -> Iterator[Measurement]:
    timed = report.timed
    middle = report.inference_us if timed is None or timed.median is None else timed.median
    kind = "mean" if timed is None or timed.median is None else "median"
    spread = (
        f" of {timed.count}, {timed.minimum / 1e3:.4g} to {timed.maximum / 1e3:.4g} ms"
        if timed is not None
        else ""
    )
    base = Measurement(
        quantity="latency",
        value=middle / 1e3,
        unit="ms",
        how="measured",
        artifact=model.name,
        runtime=runtime,
        device=facts.title,
        count=timed.count if timed is not None else 0,
        p50=middle / 1e3 if kind == "median" else None,
        threads=threads,
        note=f"benchmark_model's {kind}{spread}; first {report.first_us / 1e3:.4g} ms, "
        f"loading {report.init_us / 1e3:.4g} ms, random inputs",
    )
    yield base
    if report.overall_bytes is not None and report.init_bytes is not None:
        yield base.model_copy(
            update={
                "quantity": "peak_memory",
                "value": float(report.overall_bytes),
                "unit": "bytes",
                "count": 1,
                "p50": None,
                "note": "benchmark_model's footprint beyond its start, approximate by its own words; "
                f"{report.init_bytes:,} bytes after loading",
            }
        )
    for one in by_kind:
        yield base.model_copy(
            update={
                "quantity": "operator_latency",
                "value": one.mean_ms,
                "count": one.count,
                "p50": None,
                "note": f"{one.kind}, {one.share:.1%} of the time, mean of a run with profiling",
            }
        )
