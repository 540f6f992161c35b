"""adb with a real adbd behind it: hostile names, lost phones, full disks, and what is left behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistill.errors import GateError, InputError
from edgedistill.runners import adb
from edgedistill.runners.adb import Phone
from tests import phones
from tests.phones import SERIAL, StandIn

REASON = phones.reason_not_runnable()
needs_adbd = pytest.mark.skipif(REASON is not None, reason=REASON or "")
NAME = "0123456789ab"


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with phones.running(tmp_path / "phone", megabytes=1) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(adb, "FOLDER", PurePosixPath(running.files))
        yield running


@pytest.mark.parametrize(
    "serial",
    ["", "-s", "--help", "a b", "a;b", "$(id)", "`id`", "a\nb", "../x", "a'b", 'a"b', "a|b", "é", "x" * 200],
)
def test_what_is_no_serial_is_refused(serial: str) -> None:
    with pytest.raises(InputError, match="no serial of a phone"):
        adb.check_serial(serial)


@pytest.mark.parametrize(
    "serial", ["R58M123ABCD", "emulator-5554", "192.168.1.7:5555", "adb-1A2B-xYz._adb-tls-connect._tcp"]
)
def test_serials_as_adb_writes_them(serial: str) -> None:
    assert adb.check_serial(serial) == serial


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=100))
def test_any_list_of_devices_is_read(text: str) -> None:
    for serial, state in adb._devices(text):
        assert "\t" not in serial + state


def _fake_adb(folder: Path, monkeypatch: pytest.MonkeyPatch, devices: str) -> None:
    """FAKE: not adb, but a script that lists devices as adb does."""
    program = folder / "adb"
    program.write_text(
        f"#!/bin/sh\n[ $1 = devices ] && printf 'List of devices attached\\n{devices}'\nexit 0\n"
    )
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("devices", "serial", "words"),
    [
        ("", "", r"0 phones are connected \(none\)"),
        ("A1\\tdevice\\nB2\\tdevice\\n", "", r"(?s)2 phones are connected \(A1, B2\).*adb:SERIAL"),
        ("A1\\tunauthorized\\n", "A1", "(?s)A1 is unauthorized.*allow USB debugging"),
        ("A1\\toffline\\n", "", "(?s)A1 is offline.*reconnect offline"),
        ("A1\\tno permissions (user in plugdev group); see [http://x]\\n", "A1", "(?s)no permissions.*udev"),
        ("A1\\tdevice\\n", "C3", "(?s)C3 is not connected.*adb connect C3"),
        ("-s x;id\\tdevice\\n", "", "no serial of a phone"),
    ],
)
def test_phones_that_cannot_be_used(
    devices: str, serial: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake_adb(tmp_path, monkeypatch, devices)
    with pytest.raises(InputError, match=words):
        adb.find(serial)


def test_without_adb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="there is no adb here"):
        adb.find()


def test_no_phone_acts_on_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "adb"  # FAKE
    program.write_text("#!/bin/sh\nprintf '\\033[2Jgone\\r\\n\\nedgedistill-ended 0\\r\\n'\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert Phone("A1").run(["true"]) == adb.Ended(0, "[2Jgone\n", "")


def test_a_phone_that_says_too_much_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "adb"  # FAKE
    program.write_text("#!/bin/sh\nexec cat /dev/zero\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(adb, "MOST_BYTES", 1 << 16)
    with pytest.raises(GateError, match="said more than 65,536 bytes"):
        Phone("A1").run(["true"])


@needs_adbd
def test_words_arrive_as_they_are(device: StandIn) -> None:
    words = ["a b", "$(touch /tmp/injected)", "`id`", "x;y", "'", '"', "*", "\\", "-n", "é"]
    said = adb.find(SERIAL).must(["printf", "%s\n", *words], "nothing").split("\n")
    assert said[: len(words)] == words


@needs_adbd
def test_exit_codes_and_files(device: StandIn, tmp_path: Path) -> None:
    phone = adb.find(SERIAL)
    assert phone.script("echo out; exit 7").code == 7
    file = tmp_path / "-rf $(id)"
    file.write_bytes(bytes(range(256)))
    with phone.folder(NAME) as folder:
        phone.push(file, folder / "x")
        assert phone.pull(folder / "x", 256) == file.read_bytes()
        with pytest.raises(GateError, match=r"x has 256 .* instead of 255"):
            phone.pull(folder / "x", 255)
    assert list(device.files.iterdir()) == []


@needs_adbd
def test_a_full_disk(device: StandIn, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(2 << 20))
    phone = adb.find(SERIAL)
    with (
        pytest.raises(GateError, match=r"(?s)large cannot be copied.*No space left.*make room on the phone"),
        phone.folder(NAME) as folder,
    ):
        phone.push(tmp_path / "large", folder / "large")
    assert phone.must(["ls", str(device.files)], "").strip() == ""


@needs_adbd
def test_a_phone_that_hangs_and_what_it_left(device: StandIn) -> None:
    phone = adb.find(SERIAL)
    started = time.monotonic()
    with pytest.raises(GateError, match="did not answer within 1 s"), phone.folder(NAME) as folder:
        phone.script(f"cd {folder} && echo $$ > pid && exec sleep 60", seconds=1)
    assert time.monotonic() - started < 10
    assert (
        phone.script(f"ls {device.files}; for c in /proc/[0-9]*/cwd; do readlink $c; done").out.count(NAME)
        == 0
    )


@needs_adbd
def test_leftovers_of_a_lost_run_go_at_the_next_contact(device: StandIn) -> None:
    phone = adb.find(SERIAL)
    phone.must(["mkdir", f"{device.files}/edgedistill-{'f' * 12}", f"{device.files}/edgedistill-mine"], "")
    with phone.folder(NAME):
        left = phone.must(["ls", str(device.files)], "").split()
    assert left == [f"edgedistill-{NAME}", "edgedistill-mine"]


@needs_adbd
def test_adbd_killed_in_the_middle(device: StandIn) -> None:
    phone = adb.find(SERIAL)
    killer = threading.Timer(0.5, device.signal_adbd)
    killer.start()
    with (
        pytest.raises(GateError, match=r"(?s)lost in the middle of a command.*connect it again"),
        phone.folder(NAME) as folder,
    ):
        phone.script(f"cd {folder} && sleep 3", seconds=20)
    with pytest.raises(InputError, match=r"is offline|is not connected"):
        adb.find(SERIAL)


@needs_adbd
def test_an_adbd_that_stands_still(device: StandIn) -> None:
    phone = adb.find(SERIAL)
    device.signal_adbd(signal.SIGSTOP)
    try:
        with pytest.raises(GateError, match=r"did not answer within 0\.5 s"):
            phone.run(["true"], seconds=0.5)
    finally:
        device.signal_adbd(signal.SIGCONT)
    assert phone.run(["echo", "back"]).out == "back\n"
