"""Talks to an Android phone through the developer's own adb: lists of arguments, limits, nothing trusted.

What runs on the phone goes through its shell, so every word of it is quoted. A command counts as ended when
the phone says so itself: a lost phone never looks like one that answered.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from edgedistill.errors import GateError, InputError
from edgedistill.runners.programs import LAST_WORDS, Ended

ADB = "adb"
SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
"""Of USB, of emulators, HOST:PORT, and the names of wireless debugging: never an option, never a shell's."""

FOLDER = PurePosixPath("/data/local/tmp")  # that adb's user may write to and run programs in
PREFIX = "edgedistill-"
_HEX = 12  # digits of a folder's name

CONTACT_S = 20.0  # for what takes a phone no time
MOST_BYTES = 16 * 2**20  # of what a phone may say to one command, and of a file that is fetched
_END = "edgedistill-ended"
_STEP_S = 0.02
_CONTROL = dict.fromkeys(i for i in (*range(32), *range(127, 160)) if chr(i) not in "\n\t")
"""What a terminal would act on: no phone's words reach one."""
_RECONNECT = "connect it again (adb devices lists it as device), unlock it, and measure again"
_STATES = {  # of `adb devices`: what to do about it
    "unauthorized": "unlock the phone and allow USB debugging for this computer",
    "authorizing": "unlock the phone and allow USB debugging for this computer",
    "offline": "connect it again, or say: adb reconnect offline",
    "no permissions": "see https://developer.android.com/studio/run/device for udev's rules",
}


def reason_not_runnable() -> str | None:
    """Why no phone can be reached from here, or None where adb is."""
    return None if shutil.which(ADB) else f"there is no {ADB} here (Debian: apt-get install {ADB})"


def check_serial(serial: str) -> str:
    """The same serial.

    Raises:
        InputError: it is not one.
    """
    if SERIAL.fullmatch(serial) is None:
        raise InputError(
            f"{serial[:100]!r} is no serial of a phone",
            where="--on adb",
            fix="give one as `adb devices` writes it",
        )
    return serial


def find(serial: str = "") -> Phone:
    """The phone of that serial; without one, the only one that is connected.

    Raises:
        InputError: there is no adb or no such phone, or more than one, or it does not accept this computer.
        GateError: adb does not answer.
    """
    if serial:
        check_serial(serial)
    reason = reason_not_runnable()
    if reason is not None:
        raise InputError(reason, where="--on adb", fix="install it, or Android's platform tools")
    with contextlib.suppress(GateError):  # the list says it better
        _run([ADB, "start-server"], CONTACT_S)
    listed = _run([ADB, "devices"], CONTACT_S)
    states = dict(_devices(listed.out))
    if not serial:
        if len(states) != 1:
            names = ", ".join(sorted(states)) or "none"
            raise InputError(
                f"{len(states)} phones are connected ({names})",
                where="--on adb",
                fix="connect a phone with USB or wireless debugging"
                if not states
                else "name one: --on adb:SERIAL",
            )
        serial = check_serial(next(iter(states)))
    state = states.get(serial)
    if state != "device":
        words = "is not connected" if state is None else f"is {state}"
        fix = f"adb devices must list it; over a network, first say: adb connect {serial}"
        raise InputError(
            f"the phone {serial} {words}", where="--on adb", fix=fix if state is None else _STATES.get(state)
        )
    return Phone(serial)


def _devices(text: str) -> Iterator[tuple[str, str]]:
    """(serial, state) of each line of ``adb devices``."""
    for line in text.splitlines():
        serial, tab, state = line.partition("\t")
        if tab:
            yield serial.strip(), next((name for name in _STATES if state.startswith(name)), state.strip())


@dataclass(frozen=True)
class Phone:
    """One phone that accepts this computer."""

    serial: str

    def run(self, command: Sequence[str], *, seconds: float = CONTACT_S) -> Ended:
        """One program of the phone, each word quoted. As ``script``."""
        return self.script(shlex.join(command), seconds=seconds)

    def script(self, text: str, *, seconds: float = CONTACT_S) -> Ended:
        """Text for the phone's shell; whoever writes it quotes what is not the program's own.

        Raises:
            GateError: the phone is lost, hangs, or says too much.
        """
        wrapped = f"( {text}\n); code=$?; echo; echo {_END} $code"
        done = _run([ADB, "-s", self.serial, "shell", wrapped], seconds, self.serial)
        out, mark, code = done.out.rpartition(f"\n{_END} ")
        if not mark or not code.strip().isdecimal():
            raise self._lost(done)
        return Ended(int(code), out, done.err)

    def must(self, command: Sequence[str], what: str, *, seconds: float = CONTACT_S) -> str:
        """What a program says that must succeed; ``what`` could not be done otherwise.

        Raises:
            GateError: it fails, or as ``script``.
        """
        ended = self.run(command, seconds=seconds)
        if ended.code != 0:
            raise GateError(f"{what}: {ended.last_words}", where=self.serial, fix=_advice(ended.last_words))
        return ended.out

    def push(self, file: Path, to: PurePosixPath, *, seconds: float = 120.0) -> None:
        """Copies a file to the phone.

        Raises:
            GateError: the phone is lost, hangs, or has no room.
        """
        source = str(file.resolve())  # absolute: never an option
        done = _run([ADB, "-s", self.serial, "push", source, str(to)], seconds, self.serial)
        if done.code != 0:
            words = done.last_words
            raise GateError(
                f"{file.name} cannot be copied to the phone: {words}", where=self.serial, fix=_advice(words)
            )

    def pull(self, file: PurePosixPath, size_bytes: int, *, seconds: float = 120.0) -> bytes:
        """A file's bytes, of which there must be so many.

        Raises:
            GateError: there are not, or the phone is lost or hangs.
        """
        assert 0 <= size_bytes <= MOST_BYTES
        said = self.must(["wc", "-c", str(file)], f"{file.name} is not on the phone").split()
        if not said or said[0] != str(size_bytes):
            raise GateError(
                f"{file.name} has {' '.join(said)[:40]} bytes on the phone instead of {size_bytes:,}",
                where=self.serial,
                fix="make room on the phone, and measure again",
            )
        with tempfile.TemporaryDirectory() as folder:
            to = Path(folder) / "pulled"
            done = _run([ADB, "-s", self.serial, "pull", str(file), str(to)], seconds, self.serial, watch=to)
            if done.code != 0 or not to.is_file() or to.stat().st_size != size_bytes:
                raise self._lost(done)
            return to.read_bytes()

    @contextlib.contextmanager
    def folder(self, name: str) -> Iterator[PurePosixPath]:
        """A new folder for programs and files; it goes at the end, and so do those of a broken run before.

        Args:
            name: hexadecimal digits, the same for the same work.

        Raises:
            GateError: it cannot be made, or as ``script``.
        """
        assert re.fullmatch(f"[0-9a-f]{{{_HEX}}}", name), "a hash names the folder"
        path = FOLDER / f"{PREFIX}{name}"
        self.clean()
        self.must(["mkdir", str(path)], "no folder can be made on the phone")
        try:
            yield path
        except BaseException:
            with contextlib.suppress(GateError):  # lost or full: the next contact cleans up
                self.clean(seconds=5.0)
            raise
        self.clean()

    def clean(self, *, seconds: float = CONTACT_S) -> None:
        """Ends what still runs in folders of ours, and removes them.

        Raises:
            GateError: as ``script``.
        """
        self.script(
            f"for d in {FOLDER}/{PREFIX}{'[0-9a-f]' * _HEX}; do [ -d $d ] || continue; "
            "ls -l /proc/[0-9]*/cwd 2>/dev/null | while read -r line; do "
            'case $line in *"-> $d") p=${line##*/proc/}; kill -9 ${p%%/cwd*} 2>/dev/null;; esac; '
            "done; rm -rf $d; done",
            seconds=seconds,
        )

    def _lost(self, done: Ended) -> GateError:
        return GateError(
            f"the phone was lost in the middle of a command: {done.last_words}",
            where=self.serial,
            fix=_RECONNECT,
        )


def _advice(words: str) -> str:
    return "make room on the phone, and measure again" if "No space left" in words else _RECONNECT


def _run(command: Sequence[str], seconds: float, where: str = "adb", *, watch: Path | None = None) -> Ended:
    """Runs adb with a limit of time and of what it says; a server that it starts may outlive it.

    Its words go to files, not pipes: a server that it started would hold those open.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, "LC_ALL": "C"},
            )
        except OSError as error:
            raise GateError(
                f"{command[0]} cannot be started: {error.strerror or error}",
                where=where,
                fix="install it again",
            ) from error
        try:
            deadline = time.monotonic() + seconds
            while process.poll() is None:
                if time.monotonic() > deadline:
                    raise GateError(
                        f"the phone did not answer within {seconds:g} s", where=where, fix=_RECONNECT
                    )
                if max(_size(out), _size(err), _length(watch)) > MOST_BYTES:
                    raise GateError(
                        f"the phone said more than {MOST_BYTES:,} bytes", where=where, fix="check the phone"
                    )
                time.sleep(_STEP_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        return Ended(process.returncode, _text(out, MOST_BYTES), _text(err, LAST_WORDS))


def _size(file: IO[bytes]) -> int:
    return os.fstat(file.fileno()).st_size


def _length(path: Path | None) -> int:
    return path.stat().st_size if path is not None and path.is_file() else 0


def _text(file: IO[bytes], most: int) -> str:
    file.seek(0)
    text = file.read(most).decode("utf-8", "replace").replace("\r\n", "\n")
    return text.translate(_CONTROL)
