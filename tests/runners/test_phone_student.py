"""Which compiler a phone's program gets, and what is said where it fails or was cut off."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from edgedistill.errors import GateError, InputError
from edgedistill.runners import aarch64, phone_student
from edgedistill.runners.adb import Phone
from edgedistill.runners.battery import Load
from edgedistill.runners.programs import Ended


class Failing(Phone):
    """FAKE: a phone on which every command ends in one way."""

    ended = Ended(4, "", "")

    def script(self, text: str, *, seconds: float = 0.0) -> Ended:
        return self.ended


def test_the_ndk_is_taken_before_gcc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clang = tmp_path / "toolchains/llvm/prebuilt/linux-x86_64/bin/aarch64-linux-android24-clang"
    clang.parent.mkdir(parents=True)
    clang.touch()
    monkeypatch.setenv(phone_student.NDK, str(tmp_path))
    assert phone_student.compiler() == (str(clang),)


@pytest.mark.parametrize(("name", "more"), [("aarch64-linux-android35-clang", ()), ("gcc-14", ("-static",))])
def test_the_users_own_compiler(
    name: str, more: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Android has no C library of GCC's; its own is everywhere."""
    program = tmp_path / name
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    assert phone_student.compiler(str(program)) == (str(program), *more)


def test_without_any_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(phone_student.NDK, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    reason = phone_student.compiler()
    assert isinstance(reason, str) and aarch64.CC in reason and "ANDROID_NDK_HOME names no NDK" in reason
    with pytest.raises(InputError, match="there is no compiler 'clang-99'"):
        phone_student.compiler("clang-99")


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (Ended(4, "", ""), r"(?s)the phone's disk is full.*make room"),
        (Ended(126, "", "not executable: 64-bit ELF file"), r"(?s)exit code 126: not executable.*NDK"),
    ],
)
def test_a_program_that_fails(ended: Ended, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Failing, "ended", ended)
    with pytest.raises(GateError, match=words):
        phone_student.run(Failing("A1"), PurePosixPath("/x"), 1, 1, runs=1, warmup=0)


def test_times_of_the_program() -> None:
    times, before, peak = phone_student.parse("peak_kb 100 132\nus 12.345\nus 13.000\nruns 2 ns 25345\n")
    assert times.tolist() == [12.345, 13.0] and (before, peak) == (102_400, 135_168)
    assert phone_student.loaded("runs 4 ns 2000000000\n") == Load(4, 2.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "us 1.000\nruns 1 ns 5\n",
        "peak_kb 1 2\nus 1.000\nruns 2 ns 5\n",
        "peak_kb 1 2\nus 1e9\nruns 1 ns 5\n",
    ],
)
def test_a_program_that_was_cut_off(text: str) -> None:
    with pytest.raises(GateError, match="gave no times"):
        phone_student.parse(text)


def test_a_kernel_that_hides_the_peak() -> None:
    assert phone_student.parse("peak_kb -1 -1\nus 1.000\nruns 1 ns 5\n")[1:] == (None, None)
