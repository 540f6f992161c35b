"""Measures the models of a job on the board, each in a process of its own, and says so line by line.

Three ways in, all by ``python run.pyz``::

    PYTHON                 unpacks the job beside the file, and does it; PYTHON starts the processes of models
    PYTHON measure N       one model: times, memory, answers
    PYTHON load N          one model, over and over, while its energy is measured

Every line is ``@edgedistill JSON``. The program ends when its standard input does: nobody listens any more.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
import zipfile
import zlib
from pathlib import Path
from typing import Any

from edgedistill.bench import statistics
from edgedistill.bench.on_board import facts, loaded, meters

MARK = "@edgedistill"
JOB = "job/"  # of the zip file: job.json and the files that it names
_MOST_BYTES = 2**30  # of an unpacked job


def main() -> int:
    """Does what the arguments say."""
    python, *rest = sys.argv[1:]
    here = Path(sys.argv[0]).resolve().parent
    if not rest:
        _end_with_input()
        unpack(Path(sys.argv[0]), here)
        run(here, python)
        return 0
    job = json.loads((here / "job.json").read_text())
    what, index = rest[0], int(rest[1])
    try:
        {"measure": measure, "load": load}[what](here, job, index)
    except loaded.Missing as error:
        say(kind="missing", model=index, reason=str(error), install=error.install)
    except Exception as error:  # whatever a runtime raises is for the one who asked
        words = traceback.format_exception_only(type(error), error)[-1].strip()
        say(kind="failed", model=index, reason=words[:1_000])
    return 0


def say(**line: Any) -> None:
    print(f"\n{MARK} {json.dumps(line)}", flush=True)  # a runtime may have left its own line unfinished


def run(here: Path, python: str) -> None:
    """The whole job."""
    job = json.loads((here / "job.json").read_text())
    root = Path(job["root"])
    say(kind="system", **facts.system(root))
    say(kind="state", **facts.state(root))
    meter, reasons = meters.find(root)
    say(
        kind="meter",
        name=meter.name if meter else None,
        sees=meter.sees if meter else "",
        reasons=reasons,
    )
    if meter is not None:
        say(kind="step", words="the idle board")
        times, watts, problem = sampled(meter, job["sample_s"], job["idle_s"])
        say(kind="idle", times_s=times, watts=watts, problem=problem)
        meter = None if problem else meter
    working = []
    for index, model in enumerate(job["models"]):
        say(kind="step", words=f"model {index}")
        if child(here, python, "measure", index, job["step_s"]):
            working.append((index, model))
    for index, model in working:
        if meter is not None and model["energy"]:
            say(kind="step", words=f"energy of model {index}")
            under_load(here, python, meter, index, job)
    say(kind="state", **facts.state(root))
    say(kind="end")


def child(here: Path, python: str, what: str, index: int, seconds: float) -> bool:
    """One model in a process of its own, whose lines are passed on; whether it said all that was wanted."""
    with _started(here, python, what, index) as process:
        try:
            out, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            say(kind="failed", model=index, reason=f"it did not end within {seconds:g} s")
            return False
    return passed_on(out, process.returncode, index)


def passed_on(out: str, code: int, index: int) -> bool:
    ours = [line for line in out.splitlines() if line.startswith(MARK + " ")]
    for line in ours:
        print(line, flush=True)
    if not ours:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
        last = next(iter(reversed(out.strip().splitlines())), "it said nothing")
        say(kind="failed", model=index, reason=f"its process {how}: {last[-500:]}")
    return any(json.loads(line[len(MARK) :])["kind"] in ("model", "load") for line in ours)


def measure(here: Path, job: dict[str, Any], index: int) -> None:
    """What one model takes and answers."""
    model = job["models"][index]
    net = loaded.load(here, job, model)
    net.warm_up(job["warmup"])
    times = statistics.repeat(net.times_ms, job["least"], job["most"], job["seconds"])
    answers = net.answers()
    peak, baseline = net.memory_bytes()
    say(
        kind="model",
        model=index,
        runtime=net.name,
        times_ms=[round(t, 6) for t in times],
        peak_bytes=peak,
        baseline_bytes=baseline,
        answers=base64.b64encode(zlib.compress(answers)).decode(),
        frequencies_mhz=facts.frequencies(Path(job["root"])),
    )


def load(here: Path, job: dict[str, Any], index: int) -> None:
    """One model over and over, in windows: when each began and ended, and how many inferences it held."""
    net = loaded.load(here, job, job["models"][index])
    net.warm_up(job["warmup"])
    each_s = max(1e-7, statistics.median(net.times_ms(20)) / 1e3)
    windows = []
    for _ in range(job["windows"]):
        portion, count = max(1, int(job["window_s"] / net.portions / each_s)), 0
        began = time.monotonic()
        while time.monotonic() - began < job["window_s"]:
            net.repeat(portion)
            count += portion
        windows.append([began, time.monotonic(), count])
    say(kind="load", model=index, windows=windows)


def under_load(here: Path, python: str, meter: meters.Meter, index: int, job: dict[str, Any]) -> None:
    """The meter's watts while one model runs."""
    most = job["windows"] * job["window_s"] + job["step_s"]
    with _started(here, python, "load", index) as process:
        kept: list[str] = []
        reader = threading.Thread(target=lambda: kept.append(process.stdout.read() if process.stdout else ""))
        reader.start()
        times, watts, problem = sampled(meter, job["sample_s"], most, lambda: process.poll() is not None)
        if process.poll() is None:
            process.kill()
        reader.join()
    if passed_on("".join(kept), process.returncode, index):
        say(kind="trace", model=index, times_s=times, watts=watts, problem=problem)


def sampled(
    meter: meters.Meter, every_s: float, seconds: float, over: Any = lambda: False
) -> tuple[list[float], list[float], str]:
    """Times in s (monotonic), watts, and why they are none."""
    times: list[float] = []
    watts: list[float] = []
    began, last = time.monotonic(), False
    while not last:
        last = over() or time.monotonic() - began >= seconds  # one more look, so that the end is covered
        before = time.monotonic()
        try:
            found = meter.watts()
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            return [], [], f"{meter.name} cannot be read: {error}"
        after = time.monotonic()
        if found is not None:
            times.append((before + after) / 2)
            watts.append(found)
        time.sleep(max(0.0, every_s - (after - before)))
    return times, watts, ""


def unpack(archive: Path, folder: Path) -> None:
    """The job's files, beside the zip file that holds them; zipfile compares each with its CRC."""
    with zipfile.ZipFile(archive) as file:
        members = [info for info in file.infolist() if info.filename.startswith(JOB)]
        if sum(info.file_size for info in members) > _MOST_BYTES:
            raise ValueError("the job is too large")
        for info in members:
            name = info.filename[len(JOB) :]
            if not name or Path(name).name != name:
                raise ValueError("the job has a file outside its folder")
            (folder / name).write_bytes(file.read(info))


def _started(here: Path, python: str, what: str, index: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [python, "-B", str(here / Path(sys.argv[0]).name), python, what, str(index)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        errors="replace",
        env=dict(os.environ, TMPDIR=str(here)),  # what a runtime leaves behind goes with the folder
    )


def _end_with_input() -> None:
    """Ends this process and all that it started when nobody listens any more."""
    with contextlib.suppress(OSError):  # it leads its group already
        os.setpgrp()

    def watch() -> None:
        while os.read(0, 4096):
            pass
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(75)

    threading.Thread(target=watch, daemon=True).start()
