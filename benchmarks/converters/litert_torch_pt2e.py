"""litert-torch with its PT2E quantiser: float student -> .tflite. Prints seconds as JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import litert_torch
import torch
from common import calibration, student
from litert_torch.quantize.pt2e_quantizer import PT2EQuantizer, get_symmetric_quantization_config
from litert_torch.quantize.quant_config import QuantConfig
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e


def main(images: Path, out: Path) -> None:
    net, x = student(), torch.from_numpy(calibration(images))
    sample = (x[:1],)
    started = time.perf_counter()
    quantizer = PT2EQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(torch.export.export(net, sample).module(), quantizer)
    with torch.no_grad():
        for image in x:
            prepared(image[None])
    converted = convert_pt2e(prepared, fold_quantize=False)
    edge = litert_torch.convert(converted, sample, quant_config=QuantConfig(pt2e_quantizer=quantizer))
    edge.export(str(out))
    print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
