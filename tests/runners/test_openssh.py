"""ssh against a real sshd on the loopback: what comes across, what is refused, and that nothing is left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistill.errors import GateError, InputError
from edgedistill.runners import openssh
from edgedistill.runners.openssh import Address, Connection, Limits
from tests import sshd
from tests.sshd import Sshd

needs_sshd = pytest.mark.skipif(sshd.missing() is not None, reason=str(sshd.missing()))
QUICK = Limits(connect=20, goodbye=2, upload=5)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd.running(tmp_path_factory.mktemp("sshd")) as running:
        yield running


def connect(board: Sshd, config: Path | None = None, limits: Limits = QUICK) -> Connection:
    return Connection(Address("127.0.0.1", sshd.user(), board.port), config or board.config, limits)


def eventually(holds: Callable[[], bool]) -> bool:
    over = time.monotonic() + 40  # a busy machine is no defect
    while time.monotonic() < over:
        if holds():
            return True
        time.sleep(0.02)
    return False


def processes(word: str) -> list[int]:
    """Those whose command holds the word."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


def session(board: Sshd) -> int:
    """The sshd process of the one connection: the child of the child that keeps the privileges, or itself."""
    children = [int(p.parent.name) for p in Path("/proc").glob("[0-9]*/stat") if parent(p) == str(board.pid)]
    assert len(children) == 1
    return children[0]


def parent(stat: Path) -> str:
    try:
        return stat.read_text().rpartition(")")[2].split()[1]
    except OSError:
        return ""


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("pi@raspberrypi.local", Address("raspberrypi.local", "pi")),
        ("board", Address("board")),
        ("pi@10.0.0.2:2222", Address("10.0.0.2", "pi", 2222)),
        ("pi@[fe80::1%eth0]:22", Address("fe80::1%eth0", "pi", 22)),
    ],
)
def test_an_address(text: str, address: Address) -> None:
    assert openssh.parse(text) == address
    assert str(address) == text
    assert address.words[-2:] == ["--", address.host]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-oProxyCommand=touch${IFS}x",
        "pi@-oProxyCommand=x",
        "-l@host",
        "pi@host;reboot",
        "pi@host name",
        "pi@'host'",
        'pi@"host"',
        "pi@$(reboot)",
        "pi@`reboot`",
        "pi@host\n",
        "pi@host:0",
        "pi@host:65536",
        "pi@host:22;x",
        "pi@ho|st",
        "pi@höst",
        "a@b@c",
        "pi@[::1;x]",
    ],
)
def test_a_hostile_address_is_none(text: str) -> None:
    with pytest.raises(InputError, match="is no address of a machine"):
        openssh.parse(text)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40))
def test_no_address_is_an_option_or_meets_a_shell(text: str) -> None:
    try:
        address = openssh.parse(text)
    except InputError:
        return
    for part in (address.host, address.user or "x"):
        assert not part.startswith("-")
        assert not set(part) & set(" \t\n'\"`$;&|<>(){}\\*?!#~=")


@needs_sshd
def test_words_and_files_come_across_unchanged_and_nothing_stays(board: Sshd, tmp_path: Path) -> None:
    hostile = ["; touch x", "$(reboot)", "`id`", "'", '"', "a b", "-n", "*", "~", "\\", "!!", "ä", ""]
    content = bytes(range(256)) * 5_000
    (tmp_path / "file").write_bytes(content)
    with connect(board) as connection:
        ended = connection.run(["printf", "<%s>\n", *hostile], seconds=10)
        assert ended.out.split("\n") == [f"<{word}>" for word in hostile]
        there = Path(connection.put(tmp_path / "file", "a b;c"))
        assert there.read_bytes() == content and there.parent.stat().st_mode & 0o77 == 0
        assert there.parent.parent == board.boards_tmp
        assert connection.run(["sh", "-c", "exit 7"], seconds=10).code == 7
        said: list[str] = []
        connection.lines(["echo", "one\ntwo"], said.append, seconds=10, silence_s=10)
        assert said == ["one", "two"]
        assert processes(str(board.config))
    assert board.folders() == [] and processes(str(board.config)) == []


@needs_sshd
def test_another_key_another_host_key_an_unknown_one_and_no_sshd(board: Sshd) -> None:
    other = (board.folder / "other_host.pub").read_text().split()
    (board.folder / "changed").write_text(f"[127.0.0.1]:{board.port} {other[0]} {other[1]}\n")
    (board.folder / "empty").write_text("")
    for lines, words, fix in (
        ([f"IdentityFile {board.folder}/stranger"], "takes none of this user's keys", "ssh-copy-id"),
        ([f"UserKnownHostsFile {board.folder}/changed"], "host key of .* has changed", "ssh-keygen -R"),
        ([f"UserKnownHostsFile {board.folder}/empty"], "is not known here", "compare the fingerprint"),
    ):
        # of keys, the first that is named comes first, but all are offered
        text = board.config.read_text().replace(f"IdentityFile {board.folder}/user\n", "")
        path = board.folder / "another_config"
        key = "" if "IdentityFile" in lines[0] else f"IdentityFile {board.folder}/user\n"
        path.write_text("\n".join([*lines, key + text]))
        with pytest.raises(InputError, match=words) as raised, connect(board, path):
            raise AssertionError("it connected")
        assert fix in (raised.value.fix or "")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = Address("127.0.0.1", "pi", free.getsockname()[1])
        with pytest.raises(InputError, match="nothing answers at pi@127"), Connection(nobody, board.config):
            raise AssertionError("it connected")
    with pytest.raises(InputError, match="no machine named"), Connection(Address("no.invalid"), board.config):
        raise AssertionError("it connected")
    assert board.folders() == [] and processes(str(board.folder)) == [board.pid]


@needs_sshd
def test_a_machine_that_accepts_and_says_nothing(board: Sshd) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = Address("127.0.0.1", "pi", silent.getsockname()[1])
        began = time.monotonic()
        with (
            pytest.raises(GateError, match="did not answer within 1 s"),
            Connection(address, board.config, Limits(connect=1, goodbye=0.2)),
        ):
            raise AssertionError("it connected")
        assert time.monotonic() - began < 4


@needs_sshd
def test_a_connection_that_is_cut(board: Sshd) -> None:
    def cut(line: str) -> None:
        assert line == "begun"
        os.kill(session(board), signal.SIGKILL)

    began = time.monotonic()
    with pytest.raises(GateError, match=r"connection to .* was cut"), connect(board) as connection:
        folder = Path(connection.folder)
        words = [
            "sh",
            "-c",
            "echo begun; cat >/dev/null",
        ]
        connection.lines(words, cut, seconds=30, silence_s=30)
    assert time.monotonic() - began < 10
    assert eventually(lambda: not folder.exists()), "the board itself removes what it no longer needs"
    assert processes(str(board.config)) == []


@needs_sshd
def test_a_board_that_hangs(board: Sshd) -> None:
    stopped = []

    def stop(_: str) -> None:
        stopped.append(session(board))
        os.kill(stopped[0], signal.SIGSTOP)

    began = time.monotonic()
    try:
        with (
            pytest.raises(GateError, match="said nothing for 3 s"),
            connect(board, limits=Limits(goodbye=0.5)) as connection,
        ):
            connection.lines(["sh", "-c", "echo begun; cat"], stop, seconds=30, silence_s=3)
        assert time.monotonic() - began < 10
    finally:
        os.kill(stopped[0], signal.SIGCONT)
    assert eventually(lambda: board.folders() == [])
    assert processes(str(board.config)) == []


@needs_sshd
def test_a_program_that_takes_too_long_and_a_full_disk(board: Sshd, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    with connect(board, limits=Limits(goodbye=0.5)) as connection:
        with pytest.raises(GateError, match=r"sleep on .* did not end within 0.5 s"):
            connection.run(["sleep", "3"], seconds=0.5)
        (Path(connection.folder) / "full").symlink_to("/dev/full")  # whose every write finds no space
        with pytest.raises(GateError, match="is full: 100,000 bytes do not fit"):
            connection.put(tmp_path / "file", "full")
        assert connection.run(["echo", "still here"], seconds=10).out == "still here"


@needs_sshd
def test_no_room_for_a_folder(board: Sshd) -> None:
    board.boards_tmp.rename(board.folder / "away")
    try:
        with pytest.raises(GateError, match="has no room for a folder"), connect(board):
            raise AssertionError("it connected")
    finally:
        (board.folder / "away").rename(board.boards_tmp)


@needs_sshd
def test_what_an_earlier_connection_left_is_removed_a_day_later(board: Sshd) -> None:
    old, new, others = (board.boards_tmp / n for n in ("edgedistill-board.old", "edgedistill-board.new", "x"))
    for folder in (old, new, others):
        folder.mkdir()
        (folder / "file").touch()
    for folder in (old, others):
        os.utime(folder, (time.time() - 90_000,) * 2)
    with connect(board):
        assert not old.exists() and new.exists() and others.exists()
    for folder in (new, others):
        (folder / "file").unlink()
        folder.rmdir()


@needs_sshd
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_and_a_killed_process_leave_nothing(board: Sshd, sent: signal.Signals) -> None:
    program = (
        "import sys; from pathlib import Path; from edgedistill.runners.openssh import *\n"
        f"address = Address('127.0.0.1', {sshd.user()!r}, {board.port})\n"
        f"with Connection(address, Path({str(board.config)!r})) as board:\n"
        "    board.lines(['sh', '-c', 'echo begun; cat'], lambda _: print('begun', flush=True), "
        "seconds=60, silence_s=60)\n"
    )
    with tempfile.TemporaryDirectory() as private:  # where a killed process leaves an empty folder
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": private},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n" and board.folders()
        process.send_signal(sent)
        process.wait(10)
        process.stdout.close()
        assert eventually(lambda: board.folders() == [] and processes(str(board.config)) == [])
        assert not [path for path in Path(private).rglob("*") if not path.is_dir()]
