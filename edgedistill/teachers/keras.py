"""Runs a Keras file or a SavedModel folder as the teacher, through TensorFlow."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import TeacherError
from edgedistill.teachers.loaded import Loaded, Request, first_line
from edgedistill.teachers.timm import need

_SAVED_MODEL = "saved_model.pb"


def load(request: Request) -> Loaded:
    """keras:FILE (.keras or .h5) or keras:FOLDER (SavedModel), one input [N,H,W,C].

    Lambda layers, and SavedModels, whose graph can read and write files, run only with trust.
    """
    path = Path(request.body).expanduser()
    if not path.is_file() and not (path / _SAVED_MODEL).is_file():
        what = f"the folder has no {_SAVED_MODEL}" if path.is_dir() else "no such file or folder"
        raise TeacherError(what, where=str(path), fix="check the path (teacher.spec or --teacher)")
    if path.is_dir() and not request.trust:
        raise TeacherError(
            "a SavedModel's graph can read and write files",
            where=str(path),
            fix="pass --trust if you trust its author, or save it with model.save('FILE.keras')",
        )
    tensorflow = need("tensorflow", request.spec, "pip install 'edgedistill[tensorflow]'")
    read = _saved_model if path.is_dir() else _keras
    call, shape, parameters = read(tensorflow, path, request.trust)
    if len(shape) != 4:
        raise TeacherError(
            f"the input's shape is {list(shape)}",
            where=str(path),
            fix="give a model with one input [N,H,W,C]",
        )
    _, height, width, channels = shape

    def forward(x_NCHW: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(call(np.ascontiguousarray(x_NCHW.transpose(0, 2, 3, 1))), dtype=np.float32)

    return Loaded(
        name=path.stem,
        forward=forward,
        identity=_digest(path),
        parameters=parameters,
        channels=channels,
        size=(height, width) if height and width else None,
    )


_Read = tuple[Callable[[NDArray[np.float32]], Any], Sequence[int | None], int]


def _keras(tensorflow: ModuleType, path: Path, trust: bool) -> _Read:
    """The call, the input's shape and the number of parameters of a .keras or .h5 file."""
    try:
        model = tensorflow.keras.models.load_model(path, compile=False, safe_mode=not trust)
    except Exception as cause:  # Keras raises many kinds
        text = str(cause)
        unsafe = "safe_mode" in text or "unsafe" in text.lower()
        raise TeacherError(
            "the file holds Python code (a Lambda layer)"
            if unsafe
            else f"Keras cannot load it: {first_line(cause)}",
            where=str(path),
            fix="pass --trust if you trust its author" if unsafe else "save it with model.save('FILE.keras')",
        ) from cause
    shape = model.input_shape
    if not isinstance(shape, tuple):
        raise TeacherError(
            f"the model has {len(shape)} inputs", where=str(path), fix="give a model with one input [N,H,W,C]"
        )
    return lambda x: model(x, training=False), shape, int(model.count_params())


def _saved_model(tensorflow: ModuleType, path: Path, _: bool) -> _Read:
    """The same of a SavedModel's serving signature."""
    try:
        loaded = tensorflow.saved_model.load(str(path))
        serve = loaded.signatures["serving_default"]
    except Exception as cause:  # TensorFlow raises many kinds
        raise TeacherError(
            f"TensorFlow cannot load it: {first_line(cause)}",
            where=str(path),
            fix="export it again with model.export(FOLDER), which writes a serving signature",
        ) from cause
    (inputs, outputs) = serve.structured_input_signature[1], serve.structured_outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise TeacherError(
            f"its signature has {len(inputs)} inputs and {len(outputs)} outputs",
            where=str(path),
            fix="give a model with one input [N,H,W,C] and one output",
        )
    (name, spec), (answer,) = next(iter(inputs.items())), outputs
    parameters = sum(int(np.prod(v.shape)) for v in getattr(loaded, "variables", []))

    def call(x: NDArray[np.float32], _alive: Any = loaded) -> Any:  # its variables live as long as it does
        return serve(**{name: tensorflow.constant(x)})[answer]

    return call, [None if n is None else int(n) for n in spec.shape], parameters


def _digest(path: Path) -> bytes:
    """sha256 of a file; of a folder, of its files' names and contents."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(file.relative_to(path).as_posix().encode() + file.read_bytes())
    return digest.digest()
