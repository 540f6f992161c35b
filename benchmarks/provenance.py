"""What every benchmark's JSON says of itself: command, machine, versions; and no folder of this machine."""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgedistill.bench.machine import machine, versions


def write(path: Path, result: Mapping[str, Any], words: Mapping[str, Path]) -> None:
    """Writes ``result`` with its provenance before it.

    Args:
        path: the file; FILE in the command.
        words: what stands in the file instead of a path; inner folders before outer ones.
    """
    script = Path(sys.argv[0]).resolve()  # `python -m` makes it absolute
    command = " ".join([f"{script.parent.name}/{script.name}", *sys.argv[1:]])
    about = {"command": command, "machine": machine(), "versions": versions()}
    text = json.dumps({**about, **result}, indent=1)
    for word, folder in {"FILE": path, **words}.items():
        whole = rf"(?<![\w./-]){re.escape(str(folder))}(?![\w.-])"  # of a path, not within a word
        text = re.sub(whole, word, text)
    path.write_text(text + "\n", encoding="utf-8")


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean, standard deviation and count of two values or more."""
    return {"mean": statistics.mean(values), "stdev": statistics.stdev(values), "count": len(values)}
