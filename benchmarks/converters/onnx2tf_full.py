"""onnx2tf's full integer quantisation: float ONNX -> .tflite. Prints seconds as JSON."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import calibration

FETCHED = "calibration_image_sample_data_20x128x128x3_float32.npy"
"""Images that onnx2tf would fetch to try the float network; it takes a file of this name instead."""


def main(images: Path, model: Path, out: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        np.save(folder / "calibration.npy", calibration(images).transpose(0, 2, 3, 1))
        np.save(folder / FETCHED, np.zeros((20, 128, 128, 3), np.float32))
        zero, one = "[[[[0.0,0.0,0.0]]]]", "[[[[1.0,1.0,1.0]]]]"  # mean and deviation: real values already
        command = [sys.executable, "-m", "onnx2tf", "-i", str(model), "-o", str(folder / "out"), "-oiqt"]
        command += ["-cind", "input", str(folder / "calibration.npy"), zero, one]
        command += ["-iqd", "int8", "-oqd", "int8", "-qt", "per-channel"]
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
        seconds = time.perf_counter() - started
        made = sorted((folder / "out").glob("*full_integer_quant.tflite"))
        if not made:
            sys.exit(f"no full-integer file: {(done.stderr or done.stdout)[-2000:]}")
        shutil.copy(made[0], out)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
