"""The host's side of the serial protocol: real ports (pseudo-terminals), the firmware's own C, and liars."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgedistill.errors import GateError, InputError
from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.ir import interpret
from edgedistill.runners import c_here, serial_board
from edgedistill.runners.serial_board import SerialBoard, parse_port
from tests import boards
from tests.graphs import random_input, small_integer_graph

pytest.importorskip("serial", reason="needs pyserial")

GRAPH = small_integer_graph(5)
needs_compiler = pytest.mark.skipif(c_here.compiler() is None, reason="needs a C compiler on the PATH")


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no broken board."""
    monkeypatch.setattr(serial_board, "CONNECT_S", 60.0)
    monkeypatch.setattr(serial_board, "ANSWER_S", 60.0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what never comes."""
    monkeypatch.setattr(serial_board, "CONNECT_S", 1.0)


def program(tmp_path: Path, *flags: str) -> Path:
    c.write(GRAPH, Metadata("student", "", GRAPH.labels, 1 / 64, 0, "0"), tmp_path / "c")
    return boards.program(tmp_path / "c", c_here.compiler() or "", *flags)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/dev/ttyACM0", ("/dev/ttyACM0", 115_200)),
        ("/dev/ttyUSB1@921600", ("/dev/ttyUSB1", 921_600)),
        ("COM3", ("COM3", 115_200)),
    ],
)
def test_ports(text: str, expected: tuple[str, int]) -> None:
    assert parse_port(text) == expected


@pytest.mark.parametrize(
    "text", ["", "@9600", "/dev/x@", "/dev/x@fast", "/dev/x@0", "/dev/x@-1", "/dev/x@1e4"]
)
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(InputError, match=r"(?s)not a serial port.*serial:PORT@BAUD"):
        parse_port(text)


@needs_compiler
@pytest.mark.parametrize("flags", [(), ("-DEDGEDISTILL_BOARD_UINT8",)])
def test_every_byte_of_a_board(tmp_path: Path, flags: tuple[str, ...]) -> None:
    x = random_input(GRAPH, 3)
    expected = interpret.run_batched(GRAPH, {GRAPH.inputs[0]: x})[GRAPH.outputs[0]]
    with boards.behind_port(program(tmp_path, *flags)) as port, SerialBoard(port) as line:
        about = line.about()
        assert (about.name, about.model) == ("unspecified", "edgedistill_student")
        assert (about.input_bytes, about.output_bytes) == (x[0].size, 10)
        assert about.input_type == ("uint8" if flags else "int8")
        for one, answer in zip(x, expected, strict=True):
            line.load(one, about)
            assert line.has(one, about) and not line.has(one ^ np.int8(1), about)
            assert [line.infer(), line.infer(7, 2)] == [1000, 1000]  # the clock begins again at the third
            np.testing.assert_array_equal(line.outputs(about), answer.reshape(-1))
        with pytest.raises(GateError, match=r"(?s)refused 'nonsense': \[Unknown command: nonsense\]"):
            line.ask("nonsense")


def test_an_answer_that_lost_bytes_on_its_way() -> None:
    known = {
        b"name": b"m-name-dut-[x]",
        b"profile": b"m-profile-[x]\r\nm-model-[x]",
        b"tensors": b"m-input-[4,int8]\r\nm-output-[2,int8]",
        b"outputs": b"m-outputs-[7f]",
    }
    with boards.liar(boards.answers(known)) as port, SerialBoard(port) as line:
        about = line.about()
        with pytest.raises(GateError, match=r"answered 'outputs' with something else: 'm-outputs-\[7f\]"):
            line.outputs(about)


@needs_compiler
def test_a_line_left_within_a_command(tmp_path: Path) -> None:
    """A host that was stopped halfway leaves half a command; its answer is not ours."""
    with boards.behind_port(program(tmp_path)) as port:
        with open(port, "wb", buffering=0) as other:
            other.write(b"infer 1 0%db 0011")
        with SerialBoard(port) as line:
            assert line.about().name == "unspecified"


def test_a_port_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"(?s)cannot be opened: No such file.*here now: .*dialout"):
        SerialBoard(str(tmp_path / "ttyACM0"))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be opened: Could not configure port"):
        SerialBoard(str(tmp_path / "file"))


def test_a_port_that_is_in_use() -> None:
    with boards.liar(boards.answers({})) as port:
        with SerialBoard(port), pytest.raises(InputError, match="cannot be opened: Resource temporarily"):
            SerialBoard(port)
        SerialBoard(port).__exit__(None, None, None)  # and is free again behind the with


def test_without_pyserial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(InputError, match=r"(?s)needs pyserial.*pip install 'edgedistill\[serial\]'"):
        SerialBoard("/dev/ttyACM0")


@pytest.mark.usefixtures("impatient")
def test_nobody_answers() -> None:
    with (
        boards.liar(lambda heard: b"") as port,
        pytest.raises(GateError, match=r"(?s)did not answer within 1 s\n.*c/board/ runs on the board"),
    ):
        SerialBoard(port)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"\x00\xff\xfe\x80" * 9, "did not answer within 1 s; the last that it said"),
        (b"$GPGGA,123519,4807.038,N\r\n", r"the last that it said: '\$GPGGA"),
        (b"x" * 70_000, "sends bytes without an end of line"),
    ],
)
def test_something_else_answers(answer: bytes, words: str) -> None:
    started = time.monotonic()
    with boards.liar(lambda heard: answer) as port, pytest.raises(GateError, match=words) as caught:
        SerialBoard(port)
    assert "baud rate" in (caught.value.fix or "")
    assert time.monotonic() - started < 40


@pytest.mark.usefixtures("impatient")
def test_a_port_that_never_stops_talking() -> None:
    started = time.monotonic()
    with (
        boards.liar(lambda heard: b"", unasked=b"tick\r\n" * 200) as port,
        pytest.raises(GateError, match="the last that it said: 't"),
    ):
        SerialBoard(port)
    assert time.monotonic() - started < 40


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({}, r"refused 'tensors': \[Unknown command: tensors\]"),
        ({b"tensors": b"m-input-[many,int8]"}, "answered 'tensors' with something else: 'm-input"),
        ({b"tensors": b"m-input-[4,int8]\r\nm-output-[2,int8]", b"name": b"hello"}, "answered 'name'"),
    ],
)
def test_a_board_with_another_program(known: dict[bytes, bytes], words: str) -> None:
    with (
        boards.liar(boards.answers(known)) as port,
        SerialBoard(port) as line,
        pytest.raises(GateError, match=words),
    ):
        line.about()


def test_a_board_that_falls_silent() -> None:
    def answer(heard: bytes) -> bytes:
        return b"m-infer-start-1\r\n" if heard.startswith(b"infer") else boards.answers({})(heard)

    with (
        boards.liar(answer) as port,
        SerialBoard(port) as line,
        pytest.raises(GateError, match=r"answer to 'infer 1 0' within 2 s; .*'m-infer-start-1'"),
    ):
        line.infer(seconds=2)


def test_a_board_that_is_slow_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers what was asked in vain before, too."""
    monkeypatch.setattr(serial_board, "_LISTEN_S", 0.1)
    unheard, asked = bytearray(), 0

    def answer(heard: bytes) -> bytes:
        nonlocal asked
        asked += heard.count(b"are-you-there")
        unheard.extend(heard)
        if asked < 3:
            return b""
        reply = boards.answers({b"name": b"m-name-dut-[x]"})(bytes(unheard))
        unheard.clear()
        return reply

    with boards.liar(answer) as port, SerialBoard(port) as line:
        assert line.ask("name") == ("m-name-dut-[x]",)


def test_a_cable_that_is_pulled() -> None:
    board_end, host_end = os.openpty()
    port = os.ttyname(host_end)
    line = SerialBoard.__new__(SerialBoard)
    line._where, line._port, line._heard = port, serial_board._open(port, 9600), bytearray()
    os.close(host_end)
    os.close(board_end)
    with line, pytest.raises(GateError, match="the connection to the board was lost"):
        line.ask("name")


def test_a_stop_closes_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with boards.liar(boards.answers({})) as port:
        with pytest.raises(KeyboardInterrupt), SerialBoard(port) as line:
            raise KeyboardInterrupt
        assert not line._port.is_open

        def stopped(self: SerialBoard) -> None:
            raise KeyboardInterrupt

        opened = []
        real = serial_board._open
        monkeypatch.setattr(serial_board, "_open", lambda *given: opened.append(real(*given)) or opened[0])
        monkeypatch.setattr(SerialBoard, "_wake", stopped)
        with pytest.raises(KeyboardInterrupt):
            SerialBoard(port)
        assert not opened[0].is_open
