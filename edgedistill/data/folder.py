"""Reads a folder that holds one folder of files per class, with or without train/ val/ test/ above."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgedistill.data.source import Item, Pool, Source, files_identity
from edgedistill.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
TRAIN = ("train", "training")
VALIDATION = ("val", "valid", "validation")
TEST = ("test", "testing")


def read(root: Path, suffixes: tuple[str, ...] = SUFFIXES, noun: str = "image") -> Source:
    """Classes are the folders' names in sorted order (the order torchvision's ImageFolder gives them)."""
    folders = {folder.name.lower(): folder for folder in class_folders(root)}
    train = _first(folders, TRAIN)
    validation, test = _first(folders, VALIDATION), _first(folders, TEST)
    if train is None or not class_folders(train):
        train, validation, test = (
            root,
            None,
            None,
        )  # class folders that happen to be called "test" stay classes
    names = tuple(folder.name for folder in class_folders(train))
    if not names:
        raise DataError(
            "the folder holds no class folders" if any(root.iterdir()) else "the folder is empty",
            where=str(root),
            fix=f"put the {noun}s of each class into a folder of that name: "
            f"ROOT/cat/1{suffixes[0]}, ROOT/dog/1{suffixes[0]}",
        )
    files: list[Path] = []
    other = 0
    pools: list[Pool | None] = []
    for folder in (train, validation, test):
        if folder is None:
            pools.append(None)
            continue
        pool, found, skipped = _pool(folder, names, root, suffixes)
        files += found
        other += skipped
        pools.append(pool)
    if not files:
        raise DataError(
            f"no {noun} files in the {len(names)} class folders",
            where=str(root),
            fix=f"known file types: {', '.join(suffixes)}",
        )
    left_out = f"{other} files are no {noun}s ({', '.join(suffixes)}) and were left out"
    assert pools[0] is not None
    return Source(
        name=root.name or str(root),
        train=pools[0],
        validation=pools[1],
        test=pools[2],
        labels=names,
        identity=files_identity(files),
        warnings=(left_out,) if other else (),
    )


def class_folders(root: Path) -> list[Path]:
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))


def _first(folders: dict[str, Path], names: tuple[str, ...]) -> Path | None:
    return next((folders[name] for name in names if name in folders), None)


def _pool(
    folder: Path, names: tuple[str, ...], root: Path, suffixes: tuple[str, ...]
) -> tuple[Pool, list[Path], int]:
    files: list[Path] = []
    labels: list[int] = []
    other = 0
    for class_folder in class_folders(folder):
        if class_folder.name not in names:
            raise DataError(
                f"class {class_folder.name!r} is not among the training classes",
                where=str(class_folder),
                fix=f"the training classes: {', '.join(names[:10])}",
            )
        for path in sorted(p for p in class_folder.rglob("*") if p.is_file() and not p.name.startswith(".")):
            if path.suffix.lower() in suffixes:
                files.append(path)
                labels.append(names.index(class_folder.name))
            else:
                other += 1

    def items() -> Iterator[Item]:
        for path in files:
            yield str(path.relative_to(root)), path

    return Pool(labels=np.array(labels, dtype=np.int64), items=items), files, other
