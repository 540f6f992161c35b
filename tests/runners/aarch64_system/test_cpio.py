"""What is written is what a reader of the format finds; the kernel itself reads it in test_boot.py."""

from __future__ import annotations

import io
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from edgedistill.runners.aarch64_system.cpio import FILE, FOLDER, LINK, PROGRAM, Archive

NAMES = st.text("aB.é€ ", min_size=1, max_size=20)
ENTRIES = st.lists(
    st.tuples(NAMES, st.sampled_from([FILE, PROGRAM, LINK]), st.binary(max_size=40)), max_size=6
)


def unpacked(data: bytes) -> list[tuple[str, int, bytes]]:
    """Name, mode and content of every entry, by the format's document: 6 + 13 * 8 digits, padded parts."""
    found, at = [], 0
    while at < len(data):
        assert data[at : at + 6] == b"070701" and at % 4 == 0
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = data[at + 110 : at + 110 + length]
        assert name.endswith(b"\0") and fields[12] == 0
        at += (110 + length + 3) // 4 * 4
        found.append((os.fsdecode(name[:-1]), mode, data[at : at + size]))
        at += (size + 3) // 4 * 4
    return found


@given(ENTRIES, ENTRIES)
def test_every_entry_is_found_again_in_two_archives_in_a_row(
    first: list[tuple[str, int, bytes]], second: list[tuple[str, int, bytes]]
) -> None:
    file = io.BytesIO()
    for entries in (first, second):
        archive = Archive(file)
        for entry in entries:
            archive.add(*entry)
        archive.end()
    end = ("TRAILER!!!", 0, b"")
    assert unpacked(file.getvalue()) == [*first, end, *second, end]


def test_a_tree(tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "b" / "run").write_bytes(b"#!")
    (tmp_path / "b" / "run").chmod(0o750)
    (tmp_path / "a").symlink_to("b/c")
    (tmp_path / "b" / "c" / "empty").touch(0o600)
    file = io.BytesIO()
    Archive(file).add_tree(tmp_path, "job/")
    assert unpacked(file.getvalue()) == [
        ("job/a", LINK, b"b/c"),
        ("job/b", FOLDER, b""),
        ("job/b/c", FOLDER, b""),
        ("job/b/c/empty", FILE, b""),
        ("job/b/run", PROGRAM, b"#!"),
    ]
