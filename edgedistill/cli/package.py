"""The command ``package``: what drops into an app or firmware project, from a finished build."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgedistill.cli.output import Json, Quiet, console, print_json
from edgedistill.errors import InputError

MANIFEST = ("manifest.json", "manifest.json.sha256")  # as package/manifest.py writes them


def package_(
    path: Annotated[Path, typer.Argument(help="The folder of a finished build, such as out/android-arm64.")],
    for_: Annotated[
        str, typer.Option("--for", metavar="NAME[,NAME]", help="See `edgedistill list packages`.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Gets a folder NAME; default: DIR/package."),
    ] = None,
    sign: Annotated[
        Path | None,
        typer.Option("--sign", metavar="FILE", help="Private Ed25519 key in PEM; unsigned if not given."),
    ] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Writes what an app or firmware project takes: model, labels, pre-processing, proofs, manifest, card."""
    from edgedistill import package as packages

    names = tuple(dict.fromkeys(name.strip() for name in for_.split(",") if name.strip()))
    if not names:
        raise InputError("no package is named", where="--for", fix="for example --for raspberry-pi")
    made = packages.package(path, names, out if out is not None else path / "package", sign=sign)
    if json_:
        rows = [
            {
                "name": row.name,
                "path": str(row.path),
                "files": row.files,
                "size_bytes": row.size_bytes,
                "signed": row.signed,
                "notes": list(row.notes),
            }
            for row in made
        ]
        print_json(rows)
    elif not quiet:
        to = console()
        for row in made:
            state = "signed" if row.signed else "unsigned"
            to.print(
                f"{row.path}: {row.files} files, {row.size_bytes:,} bytes, {state}",
                markup=False,
                soft_wrap=True,
            )
            for note in row.notes:
                to.print(f"  {note}", markup=False, soft_wrap=True)


def is_package(path: Path) -> bool:
    """Whether ``verify`` is given a package and no build."""
    return all((path / name).is_file() for name in MANIFEST)


def checked(path: Path, public_key: Path | None, *, quiet: bool, as_json: bool) -> None:
    """Checks every file of a package against its manifest, and with a key its signature."""
    from edgedistill.package import manifest

    found = manifest.check(path, public_key)
    if as_json:
        print_json({"files": len(found.manifest.files), "signature": found.signature})
    elif not quiet:
        console().print(
            f"{path}: {len(found.manifest.files)} files as they were made; signature: {found.signature}",
            markup=False,
            soft_wrap=True,
        )
