"""Writes cpio archives as the Linux kernel unpacks them at boot (newc, without checksums).

Format: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst, whose archives may follow
one another: a job's files come behind the cached system's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

FOLDER, FILE, PROGRAM, LINK = 0o040755, 0o100644, 0o100755, 0o120777
_MAGIC = b"070701"
_END = "TRAILER!!!"
_LARGEST = 2**32 - 1  # a size has eight hexadecimal digits


class Archive:
    """One archive in a binary file; ``end`` completes it. Folders must come before what lies in them."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._entries = 0

    def add(self, name: str, mode: int, content: bytes = b"") -> None:
        """An entry: a file's bytes, or where a link points.

        The name is relative to the root, with ``/`` between its parts.
        """
        assert name and not name.startswith("/") and "\0" not in name, name
        assert len(content) <= _LARGEST, f"{name}: {len(content)} bytes"
        self._entries += 1
        encoded = os.fsencode(name) + b"\0"
        links = 2 if mode == FOLDER else 1
        # inode, mode, user, group, links, time, size, 4 numbers of devices, length of the name, no checksum
        fields = (self._entries, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
        head = _MAGIC + b"".join(b"%08X" % field for field in fields) + encoded
        self._file.write(head + _padding(len(head)) + content + _padding(len(content)))

    def add_tree(self, folder: Path, under: str = "") -> None:
        """Everything in a folder, in the order of names, with ``under`` (ends in ``/``) before each."""
        for path in _walk(folder):
            name = under + path.relative_to(folder).as_posix()
            if path.is_symlink():
                self.add(name, LINK, os.fsencode(os.readlink(path)))
            elif path.is_dir():
                self.add(name, FOLDER)
            else:
                executable = path.stat().st_mode & 0o100
                self.add(name, PROGRAM if executable else FILE, path.read_bytes())

    def end(self) -> None:
        """The last entry, without which nothing is unpacked."""
        self.add(_END, 0)


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)


def _padding(length: int) -> bytes:
    return b"\0" * (-length % 4)
