"""Writes the packages of a build into its folder, before it is published."""

from __future__ import annotations

from pathlib import Path

from edgedistill import package
from edgedistill.errors import InputError, OutputError
from edgedistill.package import PACKAGES
from edgedistill.recipe import Recipe
from edgedistill.target import Target

FOLDER = "package"


def write(folder: Path, device: Target, recipe: Recipe) -> tuple[str, ...]:
    """Writes ``folder``/package/NAME for what the recipe names, or else the target's own where it can.

    Args:
        folder: of a build, complete with its record.
        device: the target.
        recipe: whose [package] decides.

    Returns:
        Notes for the user.

    Raises:
        InputError: the recipe names a package that does not exist, or that lacks a format.
        OutputError: the recipe names a package that cannot be written.
    """
    if not recipe.package.write:
        return ()
    names = recipe.package.names
    if names is None:
        own = package.suited(device)
        names = (own,) if own is not None and _possible(own, folder) else ()
    if not names:
        return ()
    try:
        made = package.package(folder, names, folder / FOLDER, known_as=device.name)
    except (InputError, OutputError) as error:
        if recipe.package.names is not None:
            raise
        return (f"package/{names[0]} was not written: {error.what}",)
    return tuple(f"package/{row.name}: {row.files} files; {'; '.join(row.notes)}" for row in made)


def _possible(name: str, folder: Path) -> bool:
    """Whether there is such a package, and one of the formats that it needs."""
    from edgedistill.package.contract import MODELS

    row = PACKAGES.get(name)
    if row is None:
        return False
    return not row.formats or any(
        (folder / file).exists() for file, format_ in MODELS.items() if format_ in row.formats
    )
