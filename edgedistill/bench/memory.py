"""Measures what a model adds to a process's peak memory, in a fresh process per model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from edgedistill.bench.machine import machine
from edgedistill.errors import GateError
from edgedistill.record import Measurement

TIMEOUT_S = 120  # loading and running a small model takes seconds; past this it hangs


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    baseline_bytes: int
    peak_bytes: int
    source: str


def peak_memory(
    model: Path, runtime: str, *, shape: tuple[int, ...], dtype: str, runs: int = 10, threads: int = 1
) -> Measurement:
    """Peak resident bytes of a fresh process beyond its state before the model was loaded.

    Args:
        model: the file.
        runtime: a name of ``RUNNERS``.
        shape: of one input, batch first.
        dtype: of the input, ``int8`` or ``float32``.
        runs: inferences after loading.
        threads: for the runtime.

    Raises:
        GateError: the model could not be loaded or run, with the child's last words.
    """
    command = [sys.executable, "-m", "edgedistill.bench.child", runtime, str(model)]
    command += [",".join(str(n) for n in shape), dtype, str(runs), str(threads)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise GateError(f"{runtime} did not finish {runs} runs in {TIMEOUT_S} s", where=str(model)) from error
    if done.returncode != 0:
        last = next(iter(reversed(done.stderr.strip().splitlines())), "no message")
        raise GateError(
            f"{runtime} could not run the model in a process of its own: {last}", where=str(model)
        )
    try:
        answer = _Answer.model_validate(json.loads(done.stdout.strip().splitlines()[-1]))
    except (ValueError, IndexError, ValidationError) as error:
        raise GateError(
            f"{runtime} gave no memory figures: {done.stdout[-200:]!r}", where=str(model)
        ) from error
    return Measurement(
        quantity="peak_memory",
        value=float(max(0, answer.peak_bytes - answer.baseline_bytes)),
        unit="bytes",
        how="measured",
        artifact=model.name,
        runtime=runtime,
        device=machine(),
        count=1,
        threads=threads,
        note=f"{answer.source} of a fresh process, beyond {answer.baseline_bytes} bytes without the model",
    )
