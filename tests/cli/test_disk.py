"""A disk that is full, or read-only, is told in words; needs the right to mount a small file system."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SMALL = (
    "--epochs",
    "1",
    "--quantise-epochs",
    "0",
    "--student",
    "resnet:width=4",
    "--set",
    "data.limit=100",
    "--set",
    "distill.views=400",
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2.5 MB: room for the first probe and the data set, not for a build."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", "size=2500k", "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no right to mount a file system here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def build(out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgedistill", "build", "--target", "linux-x86_64", "--out", str(out)]
    return subprocess.run([*command, *SMALL], capture_output=True, text=True, timeout=300)


def test_a_disk_that_fills_up_in_the_middle(disk: Path) -> None:
    done = build(disk / "out")
    assert done.returncode == 2, done.stderr
    assert "the disk is full" in done.stderr and "Traceback" not in done.stderr
    assert not (disk / "out" / "linux-x86_64").exists()


def test_a_read_only_disk(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    done = build(disk / "out")
    assert done.returncode == 2, done.stderr
    assert "read-only" in done.stderr and "Traceback" not in done.stderr
