"""What the converters share: the student in PyTorch and calibration images. Needs torch and NumPy alone."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "cifar10-resnet8" / "student.safetensors"


def student() -> Any:
    """The float ResNet-8 in evaluation mode: float32 [N, 3, 32, 32] -> logits [N, 10]."""
    from safetensors.torch import load_file

    for name in ("edgedistill", "edgedistill.students"):  # the package itself needs more than a rival has
        package = types.ModuleType(name)
        package.__path__ = [str(ROOT.joinpath(*name.split(".")))]
        sys.modules.setdefault(name, package)
    from edgedistill.students.residual import residual_net

    net = residual_net(10, 3)
    net.load_state_dict(load_file(MODEL))
    return net.eval()


def calibration(path: Path) -> NDArray[np.float32]:
    """Real images [N, 3, 32, 32] of the training split, as the student takes them."""
    return np.asarray(np.load(path), np.float32)


def installed(name: str) -> bool:
    """Whether a module is there, without importing it."""
    return importlib.util.find_spec(name) is not None
