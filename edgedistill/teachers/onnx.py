"""Runs an ONNX file as the teacher, through ONNX Runtime."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import TeacherError
from edgedistill.teachers.exported import filled, in_batches
from edgedistill.teachers.loaded import Array, Loaded, Request, first_line

if TYPE_CHECKING:
    import onnxruntime as ort

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


def load(request: Request) -> Loaded:
    """FILE.onnx with one float input, [N,C,H,W] or [N,H,W,C]."""
    import onnxruntime as ort

    path = Path(request.body).expanduser()
    if not path.is_file():
        raise TeacherError("no such file", where=str(path), fix="check the path (teacher.spec or --teacher)")
    try:
        session = ort.InferenceSession(str(path), providers=ort.get_available_providers())
    except Exception as cause:  # onnxruntime's errors share no base class of their own
        raise TeacherError(
            f"the file is no ONNX model that ONNX Runtime can run ({first_line(cause)})",
            where=str(path),
            fix="check the file with onnx.checker, or export it again",
        ) from cause
    batch, channels, size, last = _input(session, path)
    name, output = session.get_inputs()[0].name, session.get_outputs()[0].name
    dtype = _TYPES[session.get_inputs()[0].type]

    def feed(x_NCHW: Array) -> dict[str, NDArray[np.floating]]:
        x = x_NCHW.transpose(0, 2, 3, 1) if last else x_NCHW
        return {name: np.ascontiguousarray(x, dtype=dtype)}

    def forward(x_NCHW: Array) -> Array:
        return np.asarray(session.run([output], feed(x_NCHW))[0], dtype=np.float32)

    sessions: dict[tuple[str, ...], ort.InferenceSession] = {}

    def inside(x_NCHW: Array, names: Sequence[str] | None) -> tuple[Array, Mapping[str, Array]]:
        wanted = tuple(_values(path) if names is None else names)
        if wanted not in sessions:
            sessions[wanted] = _showing(path, wanted)
        size = batch or len(x_NCHW)
        asked = list(dict.fromkeys([output, *wanted]))
        parts = [
            sessions[wanted].run(asked, feed(filled(x_NCHW[start : start + size], size)))
            for start in range(0, len(x_NCHW), size)
        ]
        found = {
            key: np.concatenate([part[i] for part in parts])[: len(x_NCHW)].astype(np.float32, copy=False)
            for i, key in enumerate(asked)
            if np.ndim(parts[0][i]) and parts[0][i].dtype.kind == "f" and len(parts[0][i]) == size
        }
        return found[output], {key: found[key] for key in wanted if key in found}

    return Loaded(
        name=path.stem,
        forward=forward if batch is None else in_batches(forward, batch),
        identity=hashlib.sha256(path.read_bytes()).digest(),
        channels=channels,
        size=size,
        notes=(
            f"the input layout is {'NHWC' if last else 'NCHW'}",
            *(() if batch is None else (f"the network takes {batch} image(s) at a time",)),
        ),
        inside=inside,
    )


def _values(path: Path) -> list[str]:
    """Every value that a node computes, in the graph's order."""
    import onnx

    graph = onnx.load(str(path), load_external_data=False).graph
    return [name for node in graph.node for name in node.output if name]


def _showing(path: Path, names: Sequence[str]) -> ort.InferenceSession:
    """A session whose outputs are the network's own and ``names``; ONNX Runtime infers their types."""
    import onnx
    import onnxruntime as ort

    model = onnx.load(str(path))
    there = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in there)
    return ort.InferenceSession(model.SerializeToString(), providers=ort.get_available_providers())


def _input(
    session: ort.InferenceSession, path: Path
) -> tuple[int | None, int | None, tuple[int, int] | None, bool]:
    """(fixed batch, channels, (H, W), channels last) of the only input; None where it is free."""
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in _TYPES:
        raise TeacherError(
            f"the model's inputs are {', '.join(f'{i.name} {i.type} {i.shape}' for i in inputs)}",
            where=str(path),
            fix="give a model with one float input [N,C,H,W] or [N,H,W,C]",
        )
    dims = [d if isinstance(d, int) and d > 0 else None for d in inputs[0].shape]
    last = dims[3] in (1, 3) and dims[1] not in (1, 3)
    batch = dims[0]
    channels, height, width = (dims[3], dims[1], dims[2]) if last else (dims[1], dims[2], dims[3])
    return batch, channels, (height, width) if height is not None and width is not None else None, last
