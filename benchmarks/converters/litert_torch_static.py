"""litert-torch and ai-edge-quantizer's static int8 recipe: float student -> .tflite; prints seconds."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import litert_torch
import torch
from ai_edge_quantizer import quantizer, recipe
from common import calibration, student


def main(images: Path, out: Path) -> None:
    net, x = student(), calibration(images)
    started = time.perf_counter()
    edge = litert_torch.convert(net, (torch.from_numpy(x[:1]),))
    unquantised = out.with_suffix(".float.tflite")
    edge.export(str(unquantised))
    worker = quantizer.Quantizer(str(unquantised), recipe.static_wi8_ai8())
    samples = {"serving_default": [{"args_0": image[None]} for image in x]}
    worker.quantize(worker.calibrate(samples)).export_model(str(out), overwrite=True)
    print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
