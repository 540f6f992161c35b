"""What the instructions of MLPerf Tiny's four int8 networks are on emulated Cortex-M, function by function.

    python benchmarks/instruction_mix.py --real-data DIR [--cores cortex-m4,cortex-m55] [--json FILE]

DIR/mlperf_tiny holds the four .tflite files. One inference of a random input each; counts that do not add
up to firmware's own end the run. Needs what `make devices` installs, and a C compiler.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import provenance
from mlperf_tiny import NETWORKS

from edgedistill import target
from edgedistill.compiler import random_inputs
from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.ir import plan
from edgedistill.read import read
from edgedistill.runners import cortex_m
from edgedistill.runners.cortex_m import mix
from edgedistill.runners.cortex_m.classes import CLASSES


def of_network(path: Path, core: str) -> dict[str, Any]:
    """One network on one core; ``per_mac``: of the network's multiplications, not of instructions."""
    device = target.load(core)
    reason = cortex_m.reason_not_runnable(device) or mix.reason_not_countable(cortex_m.CC)
    if reason is not None:
        return {"how": "not run", "reason": reason}
    graph = read(path).graph.replace(name=path.stem)
    with tempfile.TemporaryDirectory() as folder:
        c.write(graph, Metadata(path.stem, "Under test.", graph.labels, 1.0, 0, "0"), Path(folder) / "c")
        found = mix.count(Path(folder) / "c", device, random_inputs(graph, 1))
    whole, macs = found.whole, sum(plan.macs(graph).values())
    each = {**whole.executed, "loaded_bytes": whole.loaded_bytes, "stored_bytes": whole.stored_bytes}
    return {
        "how": "emulated",
        "macs": macs,
        "shares": {name: round(whole.executed[name] / whole.instructions, 4) for name in CLASSES},
        "per_mac": {name: round(count / macs, 4) for name, count in each.items()},
        "all": whole.as_dict(),
        "functions": [function.as_dict() for function in found.functions],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real-data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--cores", default="cortex-m4,cortex-m55", help="targets with an emulator")
    parser.add_argument("--json", type=Path, help="where the result goes")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"classes": dict(CLASSES), "networks": {}}
    for name, network in NETWORKS.items():
        path = arguments.real_data / "mlperf_tiny" / f"{network.file}.tflite"
        cores = {core: of_network(path, core) for core in arguments.cores.split(",")}
        result["networks"][name] = {"file": path.name, "cores": cores}
        for core, row in cores.items():
            words = row.get("reason") or " ".join(
                f"{kind} {share:.1%}" for kind, share in row["shares"].items()
            )
            print(f"{name:4}{core:11}{words}", flush=True)
    ran = [row for one in result["networks"].values() for row in one["cores"].values()]
    if not any(row["how"] == "emulated" for row in ran):
        sys.exit("nothing ran here")
    if arguments.json:
        provenance.write(arguments.json, result, {"DIR": arguments.real_data})


if __name__ == "__main__":
    main()
