"""Runs a Keras file as the teacher, through TensorFlow."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import TeacherError
from edgedistill.teachers.loaded import Loaded, Request, first_line
from edgedistill.teachers.timm import need


def load(request: Request) -> Loaded:
    """keras:FILE (.keras or .h5) with one input [N,H,W,C]; Lambda layers run only with trust."""
    path = Path(request.body).expanduser()
    if not path.is_file():
        raise TeacherError("no such file", where=str(path), fix="check the path (teacher.spec or --teacher)")
    tensorflow = need("tensorflow", request.spec, "pip install 'edgedistill[tensorflow]'")
    try:
        model = tensorflow.keras.models.load_model(path, compile=False, safe_mode=not request.trust)
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
    if not isinstance(shape, tuple) or len(shape) != 4:
        raise TeacherError(
            f"the input's shape is {shape}", where=str(path), fix="give a model with one input [N,H,W,C]"
        )
    _, height, width, channels = shape

    def forward(x_NCHW: NDArray[np.float32]) -> NDArray[np.float32]:
        out = model(np.ascontiguousarray(x_NCHW.transpose(0, 2, 3, 1)), training=False)
        return np.asarray(out, dtype=np.float32)

    return Loaded(
        name=path.stem,
        forward=forward,
        identity=hashlib.sha256(path.read_bytes()).digest(),
        parameters=int(model.count_params()),
        channels=channels,
        size=(height, width) if height and width else None,
        notes=(
            "Keras models often end in softmax: the outputs are taken as logits, so remove the softmax if so",
        ),
    )
