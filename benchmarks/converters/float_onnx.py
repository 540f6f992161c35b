"""torch.onnx.export: the float student -> ONNX, as a user of the converters would start."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from common import student


def main(out: Path) -> None:
    torch.onnx.export(
        student(), (torch.zeros(1, 3, 32, 32),), str(out), input_names=["input"], output_names=["logits"]
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
