"""Runs models inside the emulated 64-bit Arm and says what they answered and counted, a line each.

Needs Python's standard library, NumPy and the runtimes, nothing of edgedistill. Two ways in::

    /init                     the first process of a Linux that was booted for this: it powers off at the end
    python guest.py FOLDER    a program of its own (QEMU's user mode), which counts nothing

FOLDER (or /job) holds job.json and the files that it names. Every line of the answer is
``@edgedistill CRC32 JSON``; whatever else a console shows is not of the job.
"""

from __future__ import annotations

import base64
import ctypes
import hashlib
import importlib
import importlib.metadata
import json
import mmap
import os
import signal
import struct
import subprocess
import sys
import traceback
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

MARK = "@edgedistill"
JOB = "/job"
MODULES = {"litert": ("ai_edge_litert.interpreter", "ai-edge-litert"), "onnxruntime": ("onnxruntime",) * 2}
LOOP = 100_000  # turns of two instructions, which prove the counter

_PERF_EVENT_OPEN = 241  # include/uapi/asm-generic/unistd.h
_ATTR = struct.Struct("<IIQQQQQ")  # type, size, config, period, sample type, read format, flags: perf_event.h
_ATTR_BYTES = 112
_INHERIT, _NO_KERNEL, _NO_HYPERVISOR = 1 << 1, 1 << 5, 1 << 6
_COUNT_DOWN = struct.pack("<III", 0xF100_0400, 0x54FF_FFE1, 0xD65F_03C0)  # subs x0, x0, #1; b.ne; ret
_POWER_OFF = 0x4321_FEDC  # reboot(2)
_DIE_WITH_PARENT = 1  # prctl(2): PR_SET_PDEATHSIG


def main(arguments: list[str]) -> int:
    """Nothing: a booted system's job; FOLDER: all models of a job; FOLDER N: one of them."""
    if not arguments:
        _mount()
        try:
            run_all(Path(JOB))
        except BaseException:
            say(kind="failed", error=traceback.format_exc()[-2_000:])
        power_off()
    folder = Path(arguments[0])
    if len(arguments) == 1:
        run_all(folder)
    else:
        run_one(folder, int(arguments[1]))
    return 0


def say(**line: Any) -> None:
    text = json.dumps(line)
    print(f"\n{MARK} {zlib.crc32(text.encode()):08x} {text}", flush=True)


def run_all(folder: Path) -> None:
    job = json.loads((folder / "job.json").read_text())
    counter = Counter() if job["count"] else None
    say(
        kind="system", kernel=os.uname().release, loop=None if counter is None else loop_instructions(counter)
    )
    for index, model in enumerate(job["models"]):
        if model["alone"]:
            ended = subprocess.run([sys.executable, "-B", __file__, str(folder), str(index)], check=False)
            code = ended.returncode
        else:
            code = _in_a_copy(folder, index, model["runtime"])
        if code < 0:
            say(kind="failed", model=index, error=f"the process was ended by signal {-code}")
    say(kind="end", models=len(job["models"]))


def run_one(folder: Path, index: int) -> None:
    """What one model answers, counts and takes; or why it does not."""
    job = json.loads((folder / "job.json").read_text())
    try:
        say(kind="model", model=index, **_answer(folder, job["models"][index], job["count"]))
    except Exception as error:
        say(kind="failed", model=index, error=f"{type(error).__name__}: {error}"[:2_000])


def _in_a_copy(folder: Path, index: int, runtime: str) -> int:
    """A copy of this process, which has loaded the runtime already."""
    importlib.import_module(MODULES[runtime][0])
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)  # nobody waits for it if that took too long
        run_one(folder, index)
        sys.stdout.flush()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _answer(folder: Path, model: dict[str, Any], count: bool) -> dict[str, Any]:
    module, distribution = MODULES[model["runtime"]]
    importlib.import_module(module)
    given = np.load(folder / model["inputs"], allow_pickle=False) if model["inputs"] else None
    baseline = _reset_peak()
    counter = Counter(inherit=True) if count else None  # before the runtime's threads begin
    loaded = LOADERS[model["runtime"]](folder / model["file"], model["threads"])
    first = loaded.feed(given[:1] if given is not None else None, model["seed"])
    for _ in range(model["warmup"]):
        loaded.infer(first)
    counts = (
        [] if counter is None else [counter.of(lambda: loaded.infer(first)) for _ in range(model["runs"])]
    )
    if given is None:
        outputs = loaded.infer(first)
    else:
        outputs = np.concatenate([loaded.infer(loaded.feed(row[None], 0)) for row in given])
    peak = _peak_bytes()
    packed = zlib.compress(np.ascontiguousarray(outputs).tobytes()) if given is not None else b""
    return {
        "runtime": f"{model['runtime']} {importlib.metadata.version(distribution)}",
        "instructions": counts,
        "baseline_bytes": baseline if model["alone"] and count else None,
        "peak_bytes": peak if model["alone"] and count else None,
        "dtype": outputs.dtype.name,
        "shape": list(outputs.shape),
        "sha256": hashlib.sha256(np.ascontiguousarray(outputs).tobytes()).hexdigest(),
        "outputs": base64.b64encode(packed).decode(),
    }


class LiteRt:
    """A .tflite in LiteRT with XNNPACK, its default."""

    def __init__(self, path: Path, threads: int) -> None:
        module = importlib.import_module(MODULES["litert"][0])
        self._model = module.Interpreter(model_path=str(path), num_threads=threads)
        self._model.allocate_tensors()
        self._output = self._model.get_output_details()[0]["index"]

    def feed(self, given: NDArray[Any] | None, seed: int) -> None:
        """Sets the inputs: the first to ``given``, what is not given to random values."""
        rng = np.random.default_rng(seed)
        for number, detail in enumerate(self._model.get_input_details()):
            chosen = given if number == 0 else None
            x = chosen if chosen is not None else random_values(rng, detail["shape"], detail["dtype"])
            self._model.set_tensor(detail["index"], x)

    def infer(self, _: None) -> NDArray[Any]:
        self._model.invoke()
        return self._model.get_tensor(self._output)  # type: ignore[no-any-return]


class Ort:
    """An .onnx in ONNX Runtime on the CPU."""

    def __init__(self, path: Path, threads: int) -> None:
        module = importlib.import_module(MODULES["onnxruntime"][0])
        options = module.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised
        self._session = module.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._outputs = [self._session.get_outputs()[0].name]

    def feed(self, given: NDArray[Any] | None, seed: int) -> dict[str, NDArray[Any]]:
        """The inputs: the first is ``given``; what is not given has random values, free sizes are 1."""
        rng = np.random.default_rng(seed)
        found = {}
        for number, spec in enumerate(self._session.get_inputs()):
            shape = [n if isinstance(n, int) else 1 for n in spec.shape]
            dtype = np.dtype(spec.type.removeprefix("tensor(").rstrip(")").replace("float", "float32"))
            chosen = given if number == 0 else None
            found[spec.name] = chosen if chosen is not None else random_values(rng, shape, dtype)
        return found

    def infer(self, feed: dict[str, NDArray[Any]]) -> NDArray[Any]:
        return np.asarray(self._session.run(self._outputs, feed)[0])


class Loaded(Protocol):
    """A model in its runtime."""

    def feed(self, given: NDArray[Any] | None, seed: int, /) -> Any:
        """What ``infer`` takes: the first input is ``given``, what is not given is random."""
        ...

    def infer(self, feed: Any, /) -> NDArray[Any]:
        """The first output."""
        ...


LOADERS: dict[str, Callable[[Path, int], Loaded]] = {"litert": LiteRt, "onnxruntime": Ort}


def random_values(rng: np.random.Generator, shape: Any, dtype: Any) -> NDArray[Any]:
    """Any value of 8-bit integers; 0 or 1 of wider ones, which mostly are indices; normal floats."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return rng.standard_normal(tuple(shape)).astype(dtype)
    if dtype.kind in "iu" and dtype.itemsize == 1:
        about = np.iinfo(dtype)
        return rng.integers(about.min, about.max + 1, tuple(shape)).astype(dtype)
    return rng.integers(0, 2, tuple(shape)).astype(dtype)


class Counter:
    """Instructions of this process outside the kernel; with ``inherit`` of later threads, too."""

    def __init__(self, inherit: bool = False) -> None:
        flags = _NO_KERNEL | _NO_HYPERVISOR | (_INHERIT if inherit else 0)
        attr = _ATTR.pack(0, _ATTR_BYTES, 1, 0, 0, 0, flags).ljust(
            _ATTR_BYTES, b"\0"
        )  # hardware, instructions
        libc = ctypes.CDLL(None, use_errno=True)
        self._file = libc.syscall(_PERF_EVENT_OPEN, attr, 0, -1, -1, 0)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "perf_event_open counts no instructions here")
        self._own = min(self._between(_nothing) for _ in range(8))

    def of(self, work: Callable[[], object]) -> int:
        """Of one call, without those of the counting."""
        return self._between(work) - self._own

    def _between(self, work: Callable[[], object]) -> int:
        before = os.read(self._file, 8)
        work()
        after = os.read(self._file, 8)
        return int.from_bytes(after, "little") - int.from_bytes(before, "little")


def _nothing() -> None:
    return None


def loop_instructions(counter: Counter) -> int:
    """What the counter says of LOOP turns of a loop of two instructions; twice LOOP, if it counts."""
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(_COUNT_DOWN)
    code = ctypes.CFUNCTYPE(None, ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    code(1)
    shorter = min(counter.of(lambda: code(LOOP)) for _ in range(3))
    longer = min(counter.of(lambda: code(2 * LOOP)) for _ in range(3))
    return longer - shorter


def _status(key: str) -> int | None:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:")), None)


def _peak_bytes() -> int | None:
    return _status("VmHWM")


def _reset_peak() -> int | None:
    """The peak before the model is loaded, set back to the present size (proc(5): 5 resets VmHWM)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # QEMU's user mode has none: its memory is QEMU's, and nobody asks for it
        return None
    return _peak_bytes()


def _mount() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for kind, place in (("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/tmp")):
        os.makedirs(place, exist_ok=True)
        libc.mount(kind.encode(), place.encode(), kind.encode(), 0, None)


def power_off() -> None:
    """Ends the emulator: what the first process ends with is a panic otherwise."""
    sys.stdout.flush()
    os.sync()
    ctypes.CDLL(None).reboot(_POWER_OFF)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
