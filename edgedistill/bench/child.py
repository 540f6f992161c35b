"""Loads and runs one model in a process of its own, so that its peak memory is its own.

Run as ``python -m edgedistill.bench.child RUNTIME MODEL SHAPE DTYPE RUNS THREADS``;
one JSON object goes to standard output.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from pathlib import Path

import numpy as np

from edgedistill.runners import row_for

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")


def status_bytes(key: str, text: str) -> int | None:
    """A field such as VmHWM of /proc/self/status, in bytes (the kernel writes kB of 1,024)."""
    for line in text.splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return None


def _peak_bytes() -> tuple[int, str]:
    """The highest resident size of this process so far, and where the figure is from."""
    if STATUS.exists():
        peak = status_bytes("VmHWM", STATUS.read_text())
        if peak is not None:
            return peak, "VmHWM"
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024, "ru_maxrss"


def _baseline_bytes() -> int:
    """The peak before the model is loaded, set back to the present size where the kernel allows it."""
    with contextlib.suppress(OSError):  # not Linux, or not permitted: the peak of the imports stays
        CLEAR_REFS.write_text("5")  # proc(5): 5 resets VmHWM to the current resident size
    return _peak_bytes()[0]


def main(arguments: list[str]) -> int:
    """Prints baseline and peak in bytes; the difference is what the model costs."""
    name, model, shape, dtype, runs, threads = arguments
    row = row_for(name)
    factory = row.load()
    if row.library is not None:
        importlib.import_module(row.library)  # the runtime's own code is not the model's memory
    x = np.zeros([int(n) for n in shape.split(",")], np.dtype(dtype))
    baseline = _baseline_bytes()
    runner = factory(Path(model), threads=int(threads))
    for _ in range(int(runs)):
        runner.run(x)
    peak, source = _peak_bytes()
    print(json.dumps({"baseline_bytes": baseline, "peak_bytes": peak, "source": source}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
