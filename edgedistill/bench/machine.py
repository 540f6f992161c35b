"""Names the machine and the library versions, because a figure without them means nothing."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

LIBRARIES = (
    "numpy",
    "torch",
    "onnx",
    "onnxruntime",
    "ai-edge-litert",
    "coremltools",
    "timm",
    "transformers",
    "pillow",
    "soundfile",
    "pydantic",
    "optuna",
    "scikit-learn",
)


def machine() -> str:
    """CPU model, cores that this process may use, and the operating system, in one line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    plural = "s" if cores != 1 else ""
    return f"{_cpu_model()}, {cores} core{plural}, {platform.system()} {platform.machine()}"


def versions() -> dict[str, str]:
    """Python's version and those of the installed libraries that shape a result."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    if cpuinfo.is_file():
        fields: dict[str, str] = {}
        for line in cpuinfo.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
        for key in ("model name", "Model", "Hardware"):  # x86, Raspberry Pi, older ARM kernels
            if fields.get(key):
                return fields[key]
    return platform.processor() or platform.machine() or "unknown CPU"
