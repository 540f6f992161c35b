"""ONNX Runtime on the CPU: runs the .onnx artifact, or shows every value inside it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import InputError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Level = Literal["disabled", "basic", "extended", "all"]
_LEVELS = {
    "disabled": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
_TYPES = {
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(float)": "float32",
    "tensor(int32)": "int32",
}
_LAYOUT_KEY = "edgedistill.layout"  # in the metadata of files whose 4-D values inside are NCHW


class Ort:
    """A loaded model.

    Args:
        model: a file, or its bytes.
        threads: of one operator.
        level: of graph optimisation.
        qdq_int8: ``session.qdqisint8allowed``, without which QDQ models are fused only partly on x86.

    Raises:
        InputError: onnxruntime is not installed, or the file is missing or no ONNX model.
    """

    def __init__(
        self, model: Path | bytes, *, threads: int = 1, level: Level = "all", qdq_int8: bool = False
    ) -> None:
        ort = _import_onnxruntime()
        self.version: str = ort.__version__
        self._where = "bytes in memory" if isinstance(model, bytes) else str(model)
        self._bytes = model if isinstance(model, bytes) else _read(model)
        self._threads, self._level, self._qdq_int8 = threads, level, qdq_int8
        self._session = self._open(self._bytes)
        self._every: InferenceSession | None = None  # with all values as outputs, made when first asked for

    def _open(self, content: bytes) -> InferenceSession:
        ort = _import_onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, _LEVELS[self._level])
        options.log_severity_level = 4  # what goes wrong is raised; the log would only repeat it
        if self._qdq_int8:
            options.add_session_config_entry("session.qdqisint8allowed", "1")
        try:
            session: InferenceSession = ort.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as e:  # onnxruntime raises a dozen unrelated classes for files it refuses
            raise InputError(
                f"ONNX Runtime {self.version} cannot load this model: {_first_line(e)}",
                where=self._where,
                fix="check that the file is a complete ONNX model, or build it again",
            ) from e
        return session

    def run(self, x: NDArray[Any]) -> NDArray[Any]:
        """The first output for inputs ``x`` [N, ...].

        Raises:
            InputError: the shape or type is not the model's.
        """
        return np.asarray(self._session.run(self._first_output(), self._feed(x))[0])

    def run_all(self, x: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Every value by its name in the graph: inputs, values inside, outputs; 4-D values as NHWC."""
        import onnx

        if self._every is None:
            self._every = self._open(_with_every_output(self._bytes))
        feed = self._feed(x)
        names = [o.name for o in self._every.get_outputs()]
        values = dict(zip(names, self._every.run(names, feed), strict=True))
        proto = onnx.load_from_string(self._bytes)
        if any(p.key == _LAYOUT_KEY for p in proto.metadata_props):
            for info in proto.graph.value_info:
                if values[info.name].ndim == 4:
                    values[info.name] = np.ascontiguousarray(values[info.name].transpose(0, 2, 3, 1))
        return {**feed, **values}

    def latency_ms(self, x: NDArray[Any], runs: int, warmup: int) -> NDArray[np.float64]:
        """Wall-clock time of each of ``runs`` calls, in ms, after ``warmup`` calls that are not counted."""
        feed, wanted = self._feed(x), self._first_output()
        for _ in range(warmup):
            self._session.run(wanted, feed)
        times_ms = np.empty(runs, np.float64)
        for i in range(runs):
            start_ns = time.perf_counter_ns()
            self._session.run(wanted, feed)
            times_ms[i] = (time.perf_counter_ns() - start_ns) / 1e6
        return times_ms

    def _first_output(self) -> Sequence[str]:
        return [self._session.get_outputs()[0].name]

    def _feed(self, x: NDArray[Any]) -> dict[str, NDArray[Any]]:
        spec = self._session.get_inputs()[0]
        wanted = tuple(d if isinstance(d, int) else None for d in spec.shape)
        dtype = _TYPES.get(spec.type, spec.type)
        fits = len(wanted) == x.ndim and all(w in (None, n) for w, n in zip(wanted, x.shape, strict=True))
        if not fits or x.dtype.name != dtype:
            raise InputError(
                f"the model takes {dtype} {_shape(wanted)}, not {x.dtype.name} {_shape(x.shape)}",
                where=f"{self._where}, input {spec.name!r}",
                fix="pre-process the data as the model's metadata says",
            )
        return {spec.name: np.ascontiguousarray(x)}


def _with_every_output(content: bytes) -> bytes:
    import onnx

    model = onnx.load_from_string(content)
    outputs = {o.name for o in model.graph.output}
    model.graph.output.extend(v for v in model.graph.value_info if v.name not in outputs)
    return bytes(model.SerializeToString())


def _import_onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as e:
        raise InputError(
            "onnxruntime is not installed, so .onnx files cannot be run here", fix="pip install onnxruntime"
        ) from e
    return onnxruntime


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise InputError(
            f"the model cannot be read: {e.strerror}", where=str(path), fix="give an .onnx file"
        ) from e


def _first_line(e: Exception) -> str:
    return (str(e).strip() or type(e).__name__).splitlines()[0]


def _shape(shape: Sequence[int | None]) -> str:
    return "[" + ",".join("N" if n is None else str(n) for n in shape) + "]"
