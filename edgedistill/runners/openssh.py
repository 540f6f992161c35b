"""Reaches a Linux machine of the user's by the ssh program, its keys and configuration, and cleans up after.

One connection is made, and every command shares it (ssh_config(5), ControlMaster). Its own command holds a
private folder on the other side for as long as its standard input is open: when this process ends, however it
ends, that input closes, the folder is removed, and ssh ends by itself. What a lost connection left is removed
by the next one, when it is a day old.

No word of the user's meets a shell unquoted, and host keys are checked as the user's configuration says.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgedistill.errors import EdgeDistillError, GateError, InputError
from edgedistill.runners.followed import Lines, Tail, end, shown, started
from edgedistill.runners.programs import Ended

SSH = "ssh"
PACKAGE = "openssh-client"  # Debian's and Ubuntu's name
MARK = "@edgedistill"  # begins every line that is ours; a login shell may say more

_USER = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"
_HOST = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}|\[[0-9A-Fa-f:.]{2,64}(?:%[A-Za-z0-9_.-]{1,32})?\]"
_ADDRESS = re.compile(rf"(?:(?P<user>{_USER})@)?(?P<host>{_HOST})(?::(?P<port>[0-9]{{1,5}}))?", re.ASCII)
_FOLDER = re.compile(r"/(?:[A-Za-z0-9_.,+-]+/)*edgedistill-board\.[A-Za-z0-9]{10}", re.ASCII)

_OPTIONS = (
    "BatchMode=yes",  # nothing is asked: no password, no host key
    "ConnectTimeout=10",
    "ConnectionAttempts=1",
    "ServerAliveInterval=5",  # a machine that went away is noticed after 20 s
    "ServerAliveCountMax=3",
    "LogLevel=ERROR",
    "RequestTTY=no",
    "RemoteCommand=none",
    "PermitLocalCommand=no",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ControlPersist=no",  # the connection belongs to a process of ours
)
_HOLD = "; ".join(  # runs in sh there; no single quotes and no line ends, for the sake of csh
    (
        "umask 077",
        "export LC_ALL=C",
        'base="${TMPDIR:-/tmp}"',
        'find "$base" -maxdepth 1 -type d -name "edgedistill-board.*" -user "$(id -u)" -mtime +0 '
        "-exec rm -rf {} + 2>/dev/null",  # +0: a day old or older
        'd=$(mktemp -d "$base/edgedistill-board.XXXXXXXXXX") || exit 73',
        'trap "rm -rf \\"$d\\" 2>/dev/null || { sleep 1; rm -rf \\"$d\\"; }" 0',
        'trap "exit 1" 1 2 13 15',
        f'echo "{MARK} $d"',
        "cat >/dev/null",
    )
)
_RECEIVE = 'LC_ALL=C; export LC_ALL; umask 077; cat >"$1" && wc -c <"$1"'

_SLOWEST = 50_000  # bytes per second of an upload, before it is given up


@dataclass(frozen=True)
class Limits:
    """Seconds, of each step."""

    connect: float = 30.0
    goodbye: float = 5.0  # before a connection that does not close is killed
    upload: float = 30.0  # and what the bytes take at 50 kB a second


@dataclass(frozen=True)
class Address:
    """``USER@HOST:PORT``; what is None is the user's configuration's to say."""

    host: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host and self.port else self.host
        return f"{user}{host}" + (f":{self.port}" if self.port else "")

    @property
    def words(self) -> list[str]:
        """ssh's arguments, the host last and unmistakably no option."""
        user = ["-l", self.user] if self.user else []
        port = ["-p", str(self.port)] if self.port else []
        return [*user, *port, "--", self.host]


def parse(text: str) -> Address:
    """Reads ``[USER@]HOST[:PORT]``; HOST may be a name of ~/.ssh/config, or an IPv6 address in brackets.

    Raises:
        InputError: it is none.
    """
    found = _ADDRESS.fullmatch(text)
    port = int(found["port"]) if found and found["port"] else None
    if found is None or (port is not None and not 0 < port < 65_536):
        raise InputError(
            f"{text!r} is no address of a machine",
            where="--on ssh:USER@HOST[:PORT]",
            fix="letters, digits, '.', '_' and '-', such as ssh:pi@raspberrypi.local or ssh:pi@[fe80::1]:22",
        )
    return Address(found["host"].strip("[]"), found["user"], port)


def reason_not_runnable() -> str | None:
    """What to install, or None where ssh is here and can share a connection."""
    if os.name == "nt":
        return "OpenSSH of Windows cannot share a connection (use WSL)"
    return None if shutil.which(SSH) else f"there is no {SSH} here (Debian: apt-get install {PACKAGE})"


class Connection:
    """One connection, for a ``with`` block; ``folder`` is ours on the other side.

    Raises:
        InputError: the machine is not there, or does not take this user's key, or its host key is not known.
        GateError: it does not answer in time, or has no room for a folder.
    """

    folder: str

    def __init__(self, address: Address, config: Path | None = None, limits: Limits | None = None) -> None:
        reason = reason_not_runnable()
        if reason is not None:
            raise InputError(reason, where=f"--on ssh:{address}")
        if config is not None and not config.is_file():
            raise InputError("there is no such file", where=f"--ssh-config {config}")
        self._address, self._limits = address, limits or Limits()
        self._config = ["-F", str(config.absolute())] if config is not None else []
        self._private: Path | None = None
        self._master: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Connection:
        try:
            self._connect()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, words: Sequence[str], *, seconds: float, given: IO[bytes] | None = None) -> Ended:
        """Runs a program there to its end, with ``given`` as its input.

        Raises:
            GateError: it takes longer, or the connection is cut.
        """
        said: list[str] = []
        code, complaint = self._follow(words, said.append, seconds, seconds, given)
        return Ended(code, "\n".join(said), complaint)

    def lines(
        self, words: Sequence[str], each: Callable[[str], None], *, seconds: float, silence_s: float
    ) -> Ended:
        """Runs a program there, and hands over every line that it says. Its input stays open until it ends.

        Raises:
            GateError: it takes longer, is silent for longer, or the connection is cut.
        """
        code, complaint = self._follow(words, each, seconds, silence_s, None)
        return Ended(code, "", complaint)

    def put(self, file: Path, name: str) -> str:
        """Copies a file into the folder there, and gives its path there.

        Raises:
            GateError: the disk is full, the bytes do not all arrive in time, or the connection is cut.
        """
        path, size = f"{self.folder}/{name}", file.stat().st_size
        with file.open("rb") as content:
            words = ("sh", "-c", _RECEIVE, "sh", path)
            ended = self.run(words, seconds=self._limits.upload + size / _SLOWEST, given=content)
        if ended.code != 0 or ended.out.strip() != str(size):
            full = "No space left" in ended.err or "quota" in ended.err.lower()
            raise GateError(
                f"the disk of {self._address} is full: {size:,} bytes do not fit"
                if full
                else f"{size:,} bytes could not be copied: {shown(ended.last_words)}",
                where=self.folder,
                fix="make room there, or set TMPDIR to another folder in that machine's environment",
            )
        return path

    def close(self) -> None:
        """Ends the connection; the folder there goes with it."""
        if self._master is not None:
            end(self._master, self._limits.goodbye)
            self._master = None
        if self._private is not None:
            shutil.rmtree(self._private, ignore_errors=True)
            self._private = None

    def _connect(self) -> None:
        # the path of a socket has 104 bytes on some systems, and ssh adds 17
        short = None if len(tempfile.gettempdir()) <= 60 else "/tmp"
        self._private = Path(tempfile.mkdtemp(prefix="edgedistill-", dir=short))
        hold = ("sh", "-c", _HOLD)
        self._master = started(self._ssh("ControlMaster=yes") + self._there(hold))
        said, complaint = Lines(self._master.stdout), Tail(self._master.stderr)
        for line in said.until(self._limits.connect):
            mark, _, folder = line.partition(" ")
            if mark == MARK and _FOLDER.fullmatch(folder):
                self.folder = folder
                return
        if said.ended:
            self._master.wait(self._limits.goodbye)
            raise _refused(self._address, self._master.returncode, complaint.text())
        raise GateError(
            f"{self._address} did not answer within {self._limits.connect:g} s",
            where=f"--on ssh:{self._address}",
            fix=f"check that `{self._by_hand()} true` ends by itself",
        )

    def _by_hand(self) -> str:
        return shlex.join([SSH, *self._config, *(w for w in self._address.words if w != "--")])

    def _ssh(self, control: str) -> list[str]:
        assert self._private is not None
        options = (*_OPTIONS, control, f"ControlPath={self._private / 'm'}")
        return [SSH, *self._config, "-T", *(word for option in options for word in ("-o", option))]

    def _there(self, words: Sequence[str]) -> list[str]:
        return [*self._address.words, f"exec {shlex.join(words)}"]

    def _follow(
        self,
        words: Sequence[str],
        each: Callable[[str], None],
        seconds: float,
        silence_s: float,
        given: IO[bytes] | None,
    ) -> tuple[int, str]:
        # without the shared connection, ssh would make another one
        shared = [*self._ssh("ControlMaster=no"), "-o", "ProxyCommand=false", "-o", "ProxyJump=none"]
        process = started(shared + self._there(words), given)
        try:
            said, complaint = Lines(process.stdout), Tail(process.stderr)
            for line in said.until(seconds, silence_s):
                each(line)
            if not said.ended:
                raise self._hangs(words[0], silence_s if said.silent else seconds, silent=said.silent)
            code = process.wait(self._limits.goodbye)
            assert self._master is not None
            if code == 255:  # ssh's own, and a program's only by chance
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._master.wait(1.0)
                raise GateError(
                    f"the connection to {self._address} was cut",
                    where=f"while {shown(words[0])} ran there",
                    fix="look after its power and its network, then run the same command again; "
                    "what is left there is removed then, or a day later",
                )
            return code, complaint.text()
        finally:
            end(process, 0.2)

    def _hangs(self, program: str, seconds: float, *, silent: bool) -> GateError:
        return GateError(
            f"{shown(program)} on {self._address} "
            + (f"said nothing for {seconds:g} s" if silent else f"did not end within {seconds:g} s"),
            where=f"--on ssh:{self._address}",
            fix="see what keeps the machine busy; a smaller --runs takes less time",
        )


_WORDS: tuple[tuple[str, str, str], ...] = (  # of ssh, what happened, what to do
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "the host key of {address} has changed: it may be another machine than before",
        "if it was set up anew, remove the old key (ssh-keygen -R {host}), connect once by hand and compare",
    ),
    (
        "Host key verification failed",
        "the host key of {address} is not known here",
        "connect once by hand, compare the fingerprint, and say yes: {by_hand}",
    ),
    (
        "Permission denied",
        "{address} takes none of this user's keys",
        "put one there (ssh-copy-id), or unlock it (ssh-add): {by_hand} must work without a password",
    ),
    (
        "Too many authentication failures",
        "{address} was offered too many keys",
        "name the right one in ~/.ssh/config (IdentityFile, IdentitiesOnly yes)",
    ),
    (
        "Could not resolve hostname",
        "there is no machine named {host}",
        "check the name, or give its IP address",
    ),
    ("Connection refused", "nothing answers at {address}", "start ssh there, or give its port"),
    ("timed out", "{address} does not answer", "check that it is on, and in this network"),
    ("No route to host", "{address} cannot be reached", "check that it is on, and in this network"),
    ("Network is unreachable", "{address} cannot be reached", "check this machine's network"),
)


def _refused(address: Address, code: int | None, complaint: str) -> EdgeDistillError:
    """Why there is no connection, from ssh's own words."""
    where = f"--on ssh:{address}"
    by_hand = shlex.join([SSH, *(word for word in address.words if word != "--")])
    if code == 73:
        return GateError(
            f"{address} has no room for a folder: {shown(complaint)}",
            where=where,
            fix="make room there, or set TMPDIR to another folder in that machine's environment",
        )
    names = {"address": str(address), "host": address.host, "by_hand": by_hand}
    for words, what, fix in _WORDS:
        if words in complaint:
            return InputError(what.format(**names), where=where, fix=fix.format(**names))
    last = shown(complaint) or "it said nothing"
    return InputError(
        f"ssh cannot connect to {address}: {last}", where=where, fix=f"check that this works: {by_hand}"
    )
