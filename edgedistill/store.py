"""Keeps finished stages under the hash of their inputs, and swaps whole folders into place."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from edgedistill.errors import OutputError

_PROBE_BYTES = 2**20  # a disk that has no room for this has none for a student


def key(stage: str, parts: Mapping[str, str]) -> str:
    """sha256 of everything that decides a stage's result; the order of ``parts`` does not matter."""
    return hashlib.sha256(json.dumps([stage, sorted(parts.items())]).encode()).hexdigest()


class Store:
    """A folder of finished stages: ``root/<stage>/<key>``. Making the object touches no file."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, stage: str, key: str) -> Path | None:
        """The folder of a finished stage. A folder gets this name only when it is complete."""
        path = self._entry(stage, key)
        return path if path.is_dir() else None

    @contextlib.contextmanager
    def writing(self, stage: str, key: str) -> Iterator[Path]:
        """A folder to fill: kept as the stage's result if the block ends well, removed if not."""
        path = self._entry(stage, key)
        with self.scratch(stage) as folder:
            yield folder
            _sync(folder)
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                shutil.rmtree(path)
            folder.replace(path)
            _sync_folder(path.parent)
        shutil.rmtree(self._work(stage, key), ignore_errors=True)

    def work(self, stage: str, key: str) -> Path:
        """A folder for checkpoints that outlives a crash, until ``writing`` the same stage ends well."""
        path = self._work(stage, key)
        path.mkdir(parents=True, exist_ok=True)
        return path

    @contextlib.contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """An empty folder that is gone after the block, unless the block moved it away."""
        parent = self.root / "scratch"
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))
        folder.chmod(0o755)  # mkdtemp's 0700 would follow the folder to where it is published
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the store for this process; what a killed build left half-written is swept away.

        Raises:
            OutputError: another build holds it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        path = self.root / "lock"
        with path.open("a+") as file:
            if not _lock(file):
                file.seek(0)
                holder = file.read().strip()
                raise OutputError(
                    f"another build{f' (process {holder})' if holder else ''} is writing here",
                    where=str(self.root.parent),
                    fix="wait until it is done, or give this one another --out",
                )
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            shutil.rmtree(self.root / "scratch", ignore_errors=True)
            yield  # closing the file frees the lock; the file stays, or two builds could hold two files

    def clear(self) -> None:
        """Forgets every stage, finished or not."""
        for path in self.root.iterdir() if self.root.is_dir() else ():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink()

    def _entry(self, stage: str, key: str) -> Path:
        return self.root / stage / key

    def _work(self, stage: str, key: str) -> Path:
        return self.root / "work" / f"{stage}-{key}"


def publish(tmp: Path, out: Path) -> None:
    """Puts the folder ``tmp`` in the place of ``out``; a reader sees the old one or the new one, whole.

    Raises:
        OutputError: ``out`` holds something that is not the result of a build.
    """
    if out.is_symlink():
        out = out.resolve()
    old = _old(out)
    _recover(out)
    if out.exists() and not _is_ours(out):
        raise OutputError(
            "this is not the result of a build, so it is not replaced",
            where=str(out),
            fix="move it away, or give another --out",
        )
    _sync(tmp)
    out.parent.mkdir(parents=True, exist_ok=True)
    new = tmp
    if tmp.stat().st_dev != out.parent.stat().st_dev:  # a rename cannot cross file systems
        new = out.parent / f".{out.name}.new"
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(tmp, new)
        _sync(new)
    if out.exists():
        out.replace(old)
    new.replace(out)
    _sync_folder(out.parent)
    shutil.rmtree(old, ignore_errors=True)


def check_writable(out: Path) -> None:
    """Makes ``out``, tries to write there, and mends what an interrupted ``publish`` left.

    Raises:
        OutputError: it is a file, is read-only, or the disk is full.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=out, prefix=".probe-") as file:
            file.write(b"\0" * _PROBE_BYTES)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        fix = "make room there, or give another --out"
        raise OutputError(_why(error), where=str(out), fix=fix) from error
    for old in out.glob(".*.old"):
        _recover(out / old.name.removeprefix(".").removesuffix(".old"))


def atomic_write(path: Path, content: bytes) -> None:
    """Writes a file that is either the old one or the new one, never half of it."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _old(out: Path) -> Path:
    return out.parent / f".{out.name}.old"


def _recover(out: Path) -> None:
    """After a crash between the two renames of ``publish``: the old folder is the valid one."""
    old = _old(out)
    if not old.exists():
        return
    if out.exists():
        shutil.rmtree(old)
    else:
        old.replace(out)


def _is_ours(out: Path) -> bool:
    return out.is_dir() and ((out / "record.json").exists() or not any(out.iterdir()))


def _why(error: OSError) -> str:
    return {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.EROFS: "the file system is read-only",
        errno.EACCES: "you may not write here",
        errno.EPERM: "you may not write here",
        errno.EEXIST: "this is a file, not a folder",
        errno.ENOTDIR: "a part of the path is a file, not a folder",
    }.get(error.errno or 0, f"the output folder cannot be written: {error.strerror}")


def _sync(folder: Path) -> None:
    """Every file of the tree is on the disk before the folder gets its name."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        elif path.is_dir():
            _sync_folder(path)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":  # folders have no descriptor there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(file: IO[str]) -> bool:
    """Whether this process now holds the file; the system frees it when the process ends, however it ends."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(2**30)  # a byte that nobody writes: a locked byte cannot be read there
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
