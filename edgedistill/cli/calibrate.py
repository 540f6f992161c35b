"""The command calibrate: measures designed networks on a device or its emulator, and keeps its cost model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from edgedistill.cli.output import Json, Quiet, console, print_json, print_table, reporter
from edgedistill.errors import UnknownNameError

if TYPE_CHECKING:
    from edgedistill.sizing.measure import Place
    from edgedistill.target import Cost, Runtime


def calibrate(
    target: Annotated[
        str, typer.Option("--target", "-t", metavar="NAME|FILE", help="Device (see `targets list`).")
    ],
    on: Annotated[
        str | None,
        typer.Option("--on", metavar="PLACE", help="emulator, or local: this machine; by the target."),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option("--runtime", metavar="NAME", help="c, litert, onnxruntime; the target's first one."),
    ] = None,
    networks: Annotated[
        int | None, typer.Option("--networks", "-n", metavar="N", help="Designed networks to measure; 128.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Gets the model; else the target's file, or your overlay."
        ),
    ] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Fits a device's cost model to measurements, from which size and budgets are predicted."""
    from edgedistill import target as devices
    from edgedistill.bench.machine import machine
    from edgedistill.sizing import calibrate as calibration
    from edgedistill.sizing import cost, cost_file

    device = devices.load(target)
    place = cast("Place", _known("place", on or calibration.place_of(device), ("emulator", "local")))
    kind = cast("Runtime", _known("runtime", runtime or cost.runtime_of(device), get_args(devices.Runtime)))
    count = calibration.NETWORKS if networks is None else networks
    calibration.check(device, place, kind, count)
    path = cost_file.place(target, out)
    cost_file.check(path)
    unfinished = path.with_name(f".{path.stem}.{kind}.unfinished")
    voice = reporter(quiet=quiet, as_json=json_)
    try:
        found = calibration.calibrate(
            device, place, kind, unfinished, here=machine(), count=count, reporter=voice
        )
        cost_file.save(found, path)
    finally:
        voice.close()
    if json_:
        print_json({"file": str(path), "cost": found.model_dump(mode="json")})
    elif not quiet:
        _show(found, path)


def _known(kind: str, name: str, known: tuple[str, ...]) -> str:
    if name not in known:
        raise UnknownNameError(kind, name, known)
    return name


def _show(found: Cost, path: Path) -> None:
    rows = [
        ("model of", f"{found.quantity}, runtime {found.runtime}"),
        ("measured on", f"{found.machine}; {found.software}; {found.date}"),
        ("networks", str(found.graphs)),
        (
            "error",
            f"median {found.error_median:.1%}, nine in ten within {found.error_p90:.1%} (cross-validated)",
        ),
        ("band", f"{found.band[0] - 1:+.1%} to {found.band[1] - 1:+.1%}"),
    ]
    if found.spread:
        rows.append(
            ("spread", f"{found.spread:.0%} between repeated runs of a network (10th to 90th percentile)")
        )
    print_table(("cost model", "value"), rows)
    console().print(f"written to {path}", markup=False, soft_wrap=True)
