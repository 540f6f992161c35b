"""The system is gathered whole or not at all, once, and what hinders it is told."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgedistill.errors import GateError
from edgedistill.runners import programs
from edgedistill.runners.aarch64_system import sysroot
from edgedistill.runners.programs import Ended


class Debian:
    """apt, dpkg and pip that give a system of a few bytes; ``broken``: the word whose command fails."""

    def __init__(self, broken: str = "") -> None:
        self.broken = broken
        self.commands: list[list[str]] = []

    def __call__(self, command: Sequence[str | Path], *, seconds: float, folder: Path | None = None) -> Ended:
        words = [str(word) for word in command]
        self.commands.append(words)
        if self.broken and self.broken in words:
            return Ended(100, "", "E: Could not resolve the host")
        if "--download-only" in words:
            cache = Path(next(w for w in words if w.startswith("Dir::Cache=")).partition("=")[2])
            (cache / "archives" / "python3.11-minimal_3.11.2_arm64.deb").touch()
        elif words[0] == "dpkg-deb":
            for name in (
                "boot/vmlinuz-6.1",
                "usr/bin/python3.11",
                "usr/lib/python3.11/os.py",
                "usr/share/doc/a",
            ):
                (Path(words[-1]) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(words[-1]) / name).write_text(name)
            (Path(words[-1]) / "usr/bin/python3").symlink_to("python3.11")
        elif "pip" in words:
            site = Path(words[words.index("--target") + 1])
            for name in ("numpy-2.0.dist-info/METADATA", "numpy/tests/test.py", "numpy/numpy.so"):
                (site / name).parent.mkdir(parents=True, exist_ok=True)
                (site / name).touch()
        return Ended(0, "", "")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sysroot, "reason_not_gatherable", lambda: None)
    return tmp_path / "edgedistill"


def test_it_is_gathered_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    debian = Debian()
    monkeypatch.setattr(programs, "run", debian)
    assert sysroot.find() is None
    made = sysroot.get()
    asked = len(debian.commands)
    assert sysroot.get() == made == sysroot.find() and len(debian.commands) == asked
    assert made.python == "/usr/bin/python3.11"
    assert made.packages == ("python3.11-minimal_3.11.2_arm64", "numpy-2.0")
    assert made.kernel.read_text() == "boot/vmlinuz-6.1"
    there = {path.relative_to(made.tree).as_posix() for path in made.tree.rglob("*") if not path.is_dir()}
    assert {"usr/bin/python3.11", "usr/lib/python3.11/os.py", "site/numpy/numpy.so"} <= there
    assert not any(name.startswith("usr/share") or "tests" in name for name in there)
    assert made.image.read_bytes().startswith(b"070701")
    assert (made.tree / "lib" / "python3.11").is_dir(), "a merged /usr"
    pip = next(words for words in debian.commands if "pip" in words)
    assert pip[:3] == [sys.executable, "-m", "pip"] and "manylinux_2_28_aarch64" in pip
    assert all(word in pip for word in sysroot.requirements())


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("update", "apt cannot download Debian's packages for 64-bit Arm: E: Could not resolve"),
        ("--download-only", "apt cannot download"),
        ("dpkg-deb", "a package cannot be unpacked"),
        ("pip", "pip cannot give the wheels for 64-bit Arm and Python 3.11"),
    ],
)
def test_what_fails_leaves_nothing(
    broken: str, words: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "run", Debian(broken))
    with pytest.raises(GateError, match=words):
        sysroot.get()
    assert [path.name for path in cache.iterdir()] == ["aarch64.lock"] and sysroot.find() is None


def test_what_a_killed_process_left_is_removed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "gathering-x" / "half").mkdir(parents=True)
    for age, name in enumerate(("aarch64-old", "aarch64-older")):
        (cache / name).mkdir()
        os.utime(cache / name, (1_000 - age, 1_000 - age))
    monkeypatch.setattr(programs, "run", Debian())
    made = sysroot.get()
    assert {path.name for path in cache.iterdir()} == {"aarch64.lock", "aarch64-old", made.folder.name}


def test_a_system_that_is_too_large_is_not_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "run", Debian())
    monkeypatch.setattr(sysroot, "MOST_BYTES", 10)
    with pytest.raises(GateError, match="at most"):
        sysroot.get()
    assert sysroot.find() is None


def test_other_versions_are_another_system(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "run", Debian())
    made = sysroot.get()
    monkeypatch.setattr(sysroot, "requirements", lambda: ("numpy", "ai-edge-litert==9"))
    assert sysroot.find() is None and json.loads((made.folder / "manifest.json").read_text())


def test_without_apt_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GateError, match="no apt-get and no dpkg-deb here"):
        sysroot.get()
