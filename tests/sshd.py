"""A real sshd on the loopback, in a folder of its own, with its host key, one user's key and configuration.

Nothing of /etc/ssh or ~/.ssh is read or written. The board that tests reach through it is this machine.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
PROGRAMS = ("ssh", "ssh-keygen")


def missing() -> str | None:
    """Why there is no sshd here, or None."""
    lacking = [p for p in PROGRAMS if shutil.which(p) is None]
    if not Path(SSHD).exists():
        lacking.append("sshd")
    return f"no {', '.join(lacking)} here (Debian: openssh-server, openssh-client)" if lacking else None


@dataclass(frozen=True)
class Sshd:
    """``config`` is for ssh -F; ``boards_tmp`` is the board's TMPDIR; ``bin`` comes first on its PATH."""

    folder: Path
    port: int
    pid: int

    @property
    def config(self) -> Path:
        return self.folder / "ssh_config"

    @property
    def boards_tmp(self) -> Path:
        return self.folder / "tmp"

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def on(self) -> str:
        return f"ssh:{user()}@127.0.0.1:{self.port}"

    def folders(self) -> list[Path]:
        """What lies in the board's TMPDIR."""
        return sorted(self.boards_tmp.iterdir())

    def config_with(self, *lines: str) -> Path:
        """Another configuration of ssh, in which ``lines`` come first."""
        path = self.folder / f"ssh_config-{abs(hash(lines))}"
        path.write_text("\n".join([*lines, self.config.read_text()]))
        return path


def user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Sshd]:
    """An sshd on a free port of 127.0.0.1."""
    for name in ("tmp", "bin"):
        (folder / name).mkdir()
    for name in ("host", "user", "stranger", "other_host"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    shutil.copy(folder / "user.pub", folder / "authorized_keys")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "sshd_config").write_text(
        f"""ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized_keys
PidFile {folder}/sshd.pid
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
PermitUserEnvironment no
SetEnv TMPDIR={folder}/tmp PATH={folder}/bin:{os.environ["PATH"]}
"""
    )
    host = (folder / "host.pub").read_text().split()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host[0]} {host[1]}\n")
    (folder / "ssh_config").write_text(
        f"""IdentityFile {folder}/user
IdentitiesOnly yes
UserKnownHostsFile {folder}/known_hosts
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
"""
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists on it; Debian's service makes it
    words = [SSHD, "-D", "-e", "-f", str(folder / "sshd_config")]
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=log, stdout=log)
    try:
        _wait(port, process, folder / "sshd.log")
        yield Sshd(folder, port, process.pid)
    finally:
        process.terminate()
        process.wait(10)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise AssertionError(f"sshd does not listen: {log.read_text()}")
