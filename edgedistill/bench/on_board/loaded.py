"""Loads a model in the runtime that the board has: LiteRT, tflite-runtime, ONNX Runtime, a C compiler."""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
TFLITE = (("ai_edge_litert.interpreter", "ai-edge-litert"), ("tflite_runtime.interpreter", "tflite-runtime"))
COMPILERS = ("cc", "gcc", "clang")
_COMPILE_S = 300
_RUN_S = 240


class Missing(Exception):
    """The board has no runtime for this file; ``install`` is what pip is to install."""

    def __init__(self, words: str, install: str = "") -> None:
        super().__init__(words)
        self.install = install


class Loaded:
    """A model in its runtime, on golden inputs."""

    name = ""  # of the runtime, with its version
    portions = 20  # calls of ``repeat`` in a window of energy, at least
    baseline_bytes: int | None = None

    def warm_up(self, count: int) -> None:
        self.repeat(count)

    def times_ms(self, count: int) -> list[float]:
        """Of so many single inferences."""
        out = []
        for _ in range(count):
            began = time.perf_counter()
            self.repeat(1)
            out.append(1e3 * (time.perf_counter() - began))
        return out

    def repeat(self, count: int) -> None:
        """Runs the first input so many times."""
        raise NotImplementedError

    def answers(self) -> bytes:
        """To every golden input, one after the other; of a float model none, for none are known."""
        raise NotImplementedError

    def memory_bytes(self) -> tuple[int | None, int | None]:
        """The highest resident size, and that without the model."""
        return status_bytes("VmHWM"), self.baseline_bytes


def load(here: Path, job: dict[str, Any], model: dict[str, Any]) -> Loaded:
    """One model of a job.

    Raises:
        Missing: nothing here runs it.
    """
    return {"tflite": TfLite, "onnx": Onnx, "c": CProgram}[model["kind"]](here, job, model)


class _Python(Loaded):
    """A runtime that is a package of Python's."""

    def __init__(self, here: Path, job: dict[str, Any], model: dict[str, Any]) -> None:
        import numpy as np

        raw = np.frombuffer((here / model["inputs"]).read_bytes(), np.int8)
        self._given = raw.reshape([-1] + model["shape"])
        self._is_float = bool(model["float"])
        if self._is_float:
            self._given = (self._given[:1] / job["real_step"]).astype(np.float32)

    def answers(self) -> bytes:
        if self._is_float:
            return b""
        return b"".join(self.infer(self._given[i : i + 1]).tobytes() for i in range(len(self._given)))

    def infer(self, x: Any) -> Any:
        raise NotImplementedError


class TfLite(_Python):
    """A .tflite, with XNNPACK where the runtime uses it by itself."""

    def __init__(self, here: Path, job: dict[str, Any], model: dict[str, Any]) -> None:
        module, distribution = _first(TFLITE, "ai-edge-litert")
        super().__init__(here, job, model)
        self.name = f"{_short(distribution)} {_version(distribution)}"
        self.baseline_bytes = reset_peak()
        self._model = module.Interpreter(model_path=str(here / model["file"]), num_threads=job["threads"])
        self._model.allocate_tensors()
        self._input = self._model.get_input_details()[0]["index"]
        self._output = self._model.get_output_details()[0]["index"]
        self._model.set_tensor(self._input, self._given[:1])

    def repeat(self, count: int) -> None:
        for _ in range(count):
            self._model.invoke()

    def infer(self, x: Any) -> Any:
        self._model.set_tensor(self._input, x)
        self._model.invoke()
        return self._model.get_tensor(self._output)


class Onnx(_Python):
    """An .onnx in ONNX Runtime on the CPU."""

    def __init__(self, here: Path, job: dict[str, Any], model: dict[str, Any]) -> None:
        module, distribution = _first((("onnxruntime", "onnxruntime"),), "onnxruntime")
        super().__init__(here, job, model)
        self.name = f"{distribution} {_version(distribution)}"
        self.baseline_bytes = reset_peak()
        options = module.SessionOptions()
        options.intra_op_num_threads = job["threads"]
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised
        if not self._is_float:  # without it QDQ files are fused only partly; others do not mind
            options.add_session_config_entry("session.qdqisint8allowed", "1")
        self._session = module.InferenceSession(
            str(here / model["file"]), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name
        self._outputs = [self._session.get_outputs()[0].name]

    def repeat(self, count: int) -> None:
        feed = {self._input: self._given[:1]}
        for _ in range(count):
            self._session.run(self._outputs, feed)

    def infer(self, x: Any) -> Any:
        return self._session.run(self._outputs, {self._input: x})[0]


class CProgram(Loaded):
    """The C files, compiled by the board's own compiler for its own processor."""

    portions = 2  # each begins a process, which is no inference

    def __init__(self, here: Path, job: dict[str, Any], model: dict[str, Any]) -> None:
        cc = next((found for found in map(shutil.which, COMPILERS) if found), None)
        if cc is None:
            raise Missing("there is no C compiler on the board (Debian: apt-get install gcc libc6-dev)")
        self._here, self._inputs = here, model["inputs"]
        native = ["-mcpu=native"] if platform.machine() in ("aarch64", "armv7l") else []
        flags = ["-std=c99", "-O2"]
        if (here / "timer").exists():  # an earlier process of this job made it
            native = []
        elif not native or not self._built(cc, [*flags, *native], model["file"], check=False):
            native = []
            self._built(cc, flags, model["file"], check=True)
        self.name = " ".join(["c by", _compiler(cc), *flags, *native])
        self._warmup = 0
        self._peak: int | None = None

    def warm_up(self, count: int) -> None:
        self._warmup = count  # every run of the program begins cold

    def times_ms(self, count: int) -> list[float]:
        done = self._run("timer", self._inputs, str(self._warmup), str(count))
        times = [int(word) / 1e6 for word in done.stdout.split()]
        if len(times) != count:
            raise RuntimeError(f"the program said {len(times)} times instead of {count}")
        self._peak = max(self._peak or 0, status_bytes("VmHWM", done.stderr) or 0) or None
        return times

    def repeat(self, count: int) -> None:
        self._run("timer", self._inputs, "0", str(count))

    def answers(self) -> bytes:
        self._run("driver", self._inputs, "outputs.bin")
        return (self._here / "outputs.bin").read_bytes()

    def memory_bytes(self) -> tuple[int | None, int | None]:
        return self._peak, 0

    def _built(self, cc: str, flags: list[str], source: str, check: bool) -> bool:
        for program in ("driver", "timer"):
            done = subprocess.run(
                [cc, *flags, "-I.", "-o", program, program + ".c", source],
                cwd=str(self._here),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_COMPILE_S,
                text=True,
                errors="replace",
            )
            if done.returncode != 0:
                if check:
                    raise RuntimeError("the C files could not be compiled: " + done.stderr.strip()[-800:])
                return False
        return True

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(self._here / program), *arguments],
            cwd=str(self._here),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_RUN_S,
            text=True,
            errors="replace",
        )
        if done.returncode != 0:
            raise RuntimeError(f"the C program ended with {done.returncode}")
        return done


def status_bytes(key: str, text: str | None = None) -> int | None:
    """A field of /proc/self/status in bytes (the kernel writes kB of 1,024); None: there is none."""
    if text is None:
        if not STATUS.exists():
            return None
        text = STATUS.read_text()
    for line in text.splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    return None


def reset_peak() -> int | None:
    """The peak before a model is loaded, set back to the present size where the kernel allows it."""
    with contextlib.suppress(OSError):
        CLEAR_REFS.write_text("5")  # proc(5): 5 resets VmHWM to the current resident size
    return status_bytes("VmHWM")


def _first(candidates: tuple[tuple[str, str], ...], install: str) -> tuple[Any, str]:
    """The first module that this Python has, and its distribution."""
    broken = ""
    for name, distribution in candidates:
        try:
            return importlib.import_module(name), distribution
        except ModuleNotFoundError as error:
            if error.name not in (name, name.partition(".")[0]):
                broken = f"; {distribution} is there, but {error}"
        except ImportError as error:
            broken = f"; {distribution} is there, but {error}"
    names = " and no ".join(distribution for _, distribution in candidates)
    raise Missing(f"this Python has no {names}{broken}", install)


def _version(distribution: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "of unknown version"


def _short(distribution: str) -> str:
    return "litert" if distribution == "ai-edge-litert" else distribution


def _compiler(cc: str) -> str:
    done = subprocess.run(
        [cc, "--version"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=30,
        text=True,
        env=dict(os.environ, LC_ALL="C"),
    )
    words = next(iter(done.stdout.splitlines()), "").split()
    return " ".join([os.path.basename(cc), words[-1]]) if words else os.path.basename(cc)
