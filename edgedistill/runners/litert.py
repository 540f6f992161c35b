"""Runs a .tflite in LiteRT on this machine: outputs, every layer's values, latencies.

Two families of arithmetic (see the interpreter): XNNPACK, LiteRT's default, is F; the
reference kernels are D, but for FULLY_CONNECTED with per-channel weights, which ruy
computes there (one rounding, half up: at most one unit from D). TFLite Micro is D throughout.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import InputError
from edgedistill.runners.native import hidden_stderr

# module with Interpreter and OpResolverType -> (distribution for the version, module of the file's schema)
RUNTIMES: dict[str, tuple[str, str]] = {
    "ai_edge_litert.interpreter": ("ai-edge-litert", "ai_edge_litert.schema_py_generated"),
    "tflite_runtime.interpreter": ("tflite-runtime", ""),
    "tensorflow.lite.python.interpreter": ("tensorflow", "tensorflow.lite.python.schema_py_generated"),
}
_IDENTIFIER = b"TFL3"


class LiteRt:
    """A loaded model. ``reference=True`` uses the reference kernels instead of XNNPACK.

    Raises:
        InputError: no runtime is installed, or the file is not a model that it can read.
    """

    def __init__(self, model: Path | bytes, *, threads: int = 1, reference: bool = False) -> None:
        self._runtime, distribution, self._schema_name = _load_runtime()
        self.version: str = importlib.metadata.version(distribution)
        self.name = f"litert-{'reference' if reference else 'xnnpack'} {self.version}"
        self._threads = threads
        self._reference = reference
        self._where = "model in memory" if isinstance(model, bytes) else str(model)
        self._model = _read(model)
        self._interpreter = self._open(self._model)
        self._everything: Any = None

    def run(self, x: NDArray[Any]) -> NDArray[Any]:
        """The first output for a batch [N, ...] of int8 or float32, as the model wants."""
        self._feed(self._interpreter, x)
        self._invoke(self._interpreter)
        return np.array(self._interpreter.get_tensor(self._interpreter.get_output_details()[0]["index"]))

    def run_all(self, x: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Every activation by name: the input and what each operator of the file wrote.

        LiteRT's own way to keep intermediate tensors switches XNNPACK off, so the
        values come from a copy of the model in which every activation is an output.
        """
        if self._everything is None:
            self._everything = self._open(self._with_all_outputs())
        interpreter = self._everything
        self._feed(interpreter, x)
        self._invoke(interpreter)
        details = [*interpreter.get_input_details(), *interpreter.get_output_details()]
        return {d["name"]: np.array(interpreter.get_tensor(d["index"])) for d in details}

    def latency_ms(self, x: NDArray[Any], runs: int, warmup: int) -> NDArray[np.float64]:
        """Wall time of each of ``runs`` invocations in ms [runs], after ``warmup`` unmeasured ones."""
        self._feed(self._interpreter, x)
        for _ in range(warmup):
            self._invoke(self._interpreter)
        times_ns = np.zeros(runs, np.int64)
        for i in range(runs):
            start_ns = time.perf_counter_ns()
            self._interpreter.invoke()
            times_ns[i] = time.perf_counter_ns() - start_ns
        return times_ns / 1e6

    def _open(self, model: bytes) -> Any:
        resolvers = self._runtime.OpResolverType
        try:
            with hidden_stderr():  # "Created TensorFlow Lite XNNPACK delegate for CPU."
                interpreter = self._runtime.Interpreter(
                    model_content=model,
                    num_threads=self._threads,
                    experimental_op_resolver_type=resolvers.BUILTIN_REF
                    if self._reference
                    else resolvers.AUTO,
                )
                interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError(
                f"LiteRT {self.version} cannot load the model: {_first_line(error)}",
                where=self._where,
                fix="export it again; an operator newer than the runtime needs a newer ai-edge-litert",
            ) from error
        return interpreter

    def _feed(self, interpreter: Any, x: NDArray[Any]) -> None:
        detail = interpreter.get_input_details()[0]
        wanted = tuple(int(n) for n in detail["shape"])
        if x.dtype != detail["dtype"] or x.shape[1:] != wanted[1:] or len(x) == 0:
            raise InputError(
                f"the input is {x.dtype} {list(x.shape)}",
                where=f"{self._where}, input {detail['name']!r}",
                fix=f"give {np.dtype(detail['dtype']).name} [N, {', '.join(map(str, wanted[1:]))}], N >= 1",
            )
        if x.shape != wanted:
            try:
                interpreter.resize_tensor_input(detail["index"], list(x.shape))
                interpreter.allocate_tensors()
            except (ValueError, RuntimeError) as error:
                raise InputError(
                    f"LiteRT cannot run a batch of {len(x)}: {_first_line(error)}",
                    where=self._where,
                    fix=f"use the model's own batch of {wanted[0]}",
                ) from error
        interpreter.set_tensor(detail["index"], x)

    def _invoke(self, interpreter: Any) -> None:
        try:
            interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise InputError(
                f"LiteRT failed while running: {_first_line(error)}",
                where=self._where,
                fix="export the model again",
            ) from error

    def _with_all_outputs(self) -> bytes:
        if not self._schema_name:
            raise InputError(
                "tflite_runtime cannot show the values between layers",
                where=self._where,
                fix="pip install ai-edge-litert",
            )
        import flatbuffers

        schema = importlib.import_module(self._schema_name)
        model = schema.ModelT.InitFromPackedBuf(self._model, 0)
        model.signatureDefs = None  # they name the old outputs
        graph = model.subgraphs[0]
        written = [int(index) for op in graph.operators for index in op.outputs]
        graph.outputs = np.array(list(dict.fromkeys(written)), np.int32)
        builder = flatbuffers.Builder(len(self._model))
        builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
        return bytes(builder.Output())


def _load_runtime() -> tuple[ModuleType, str, str]:
    for module, (distribution, schema) in RUNTIMES.items():
        try:
            return importlib.import_module(module), distribution, schema
        except ImportError:
            continue
    raise InputError(
        "no LiteRT runtime is installed",
        where="running a .tflite",
        fix="pip install ai-edge-litert (or tflite-runtime, or tensorflow)",
    )


def _read(model: Path | bytes) -> bytes:
    if isinstance(model, bytes):
        data, where = model, "model in memory"
    else:
        where = str(model)
        try:
            data = model.read_bytes()
        except OSError as error:
            raise InputError(
                f"cannot read the model: {error.strerror}", where=where, fix="give the path of a .tflite file"
            ) from error
    if data[4:8] != _IDENTIFIER:
        raise InputError(
            f"this is not a .tflite file: bytes 4 to 8 are {data[4:8]!r}, not {_IDENTIFIER!r}",
            where=where,
            fix="export it again, or copy it again in binary mode",
        )
    return data


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
