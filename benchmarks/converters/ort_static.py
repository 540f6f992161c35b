"""onnxruntime.quantization, static int8 per channel: float ONNX -> QDQ or QOperator; prints seconds."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from common import calibration
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """One calibration image at a time."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next input, or None at the end."""
        image = next(self._images, None)
        return None if image is None else {"input": image[None]}


def main(images: Path, model: Path, out: Path, form: str) -> None:
    reader = Reader(calibration(images))
    started = time.perf_counter()
    prepared = out.with_suffix(".prepared.onnx")
    quant_pre_process(str(model), str(prepared))
    quantize_static(
        str(prepared),
        str(out),
        reader,
        quant_format=QuantFormat[form],
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )
    print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), sys.argv[4])
