"""The command ``verify``: proves a finished build again, from its files alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgedistill.cli import package
from edgedistill.cli.output import Json, Quiet, print_json, print_parity
from edgedistill.errors import ParityError


def verify(
    path: Annotated[
        Path, typer.Argument(help="A build's folder, one model with golden.npz beside it, or a package.")
    ],
    target: Annotated[
        str | None,
        typer.Option("--target", "-t", metavar="NAME", help="Whose emulator runs C; as built if not given."),
    ] = None,
    cc: Annotated[
        str, typer.Option("--cc", metavar="PROGRAM", help="GCC that compiles firmware.")
    ] = "arm-none-eabi-gcc",
    trust: Annotated[
        bool, typer.Option("--trust", help="Compile and run the folder's C files: you know who wrote them.")
    ] = False,
    public_key: Annotated[
        Path | None,
        typer.Option("--public-key", metavar="FILE", help="Who signed the package: Ed25519, PEM."),
    ] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Runs the golden inputs through every runtime; exit code 1 when one answers other bits."""
    from edgedistill import target as devices

    if package.is_package(path) or public_key is not None:
        package.checked(path, public_key, quiet=quiet, as_json=json_)
        return
    device = devices.load(target) if target else None

    from edgedistill.bench.parity import verify_dir

    rows = verify_dir(path, device=device, cc=cc, trust=trust)
    if json_:
        print_json([row.model_dump(mode="json") for row in rows])
    elif not quiet:
        print_parity(rows)
    broken = [row for row in rows if row.broken]
    if broken:
        worst = max(broken, key=lambda row: row.max_lsb)
        raise ParityError(
            worst.difference,
            where=worst.artifact,
            fix="use the runtime and version that the record names, or build again with this one installed",
        )
