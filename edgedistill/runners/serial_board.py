"""Drives a board over a serial line by the protocol of MLPerf Tiny, as the firmware in c/board/ speaks it."""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import GateError, InputError

SCHEME = "serial:"  # how the place is written
BAUD = 115_200  # of MLPerf Tiny's own firmware
CONNECT_S = 10.0  # a board that its port's opening resets is up by then
ANSWER_S = 10.0
INFER_S = 60.0  # of an inference whose time is not known yet
READY = "m-ready"

_LISTEN_S = 1.0  # before the board is asked again whether it is there
_READ_S = 0.2  # the longest that a read waits, so that a stop is heard
_CHUNK_BYTES = 32  # of input per command; the firmware takes commands of 80 characters
_PRINTED_BITS = 60  # per byte of `db print`: two digits and its share of a line, ten bits a character
_LINE_BYTES = 65_536  # past this it is no line
_WRAP_US = 2**32  # where the board's clock begins again


@dataclass(frozen=True)
class About:
    """What a board says of itself; ``input_type``: int8, or uint8 for pixels 0 to 255."""

    name: str
    model: str
    input_bytes: int
    input_type: str
    output_bytes: int


def parse_port(text: str) -> tuple[str, int]:
    """Port and baud rate of ``PORT[@BAUD]``.

    Raises:
        InputError: there is no port, or the rate is no number from 1 to 9,999,999.
    """
    port, at, rate = text.partition("@")
    if not port or (at and not re.fullmatch(r"[1-9]\d{0,6}", rate, re.ASCII)):
        raise InputError(
            f"{text!r} is not a serial port",
            where="--on",
            fix="write serial:PORT or serial:PORT@BAUD, such as serial:/dev/ttyACM0@115200",
        )
    return port, int(rate) if at else BAUD


class SerialBoard:
    """A board at the end of a serial line. Use it in a ``with``, which closes the port whatever happens."""

    def __init__(self, port: str, baud: int = BAUD) -> None:
        """Opens the port and waits for the board.

        Raises:
            InputError: pyserial is missing, or the port is not there or not ours.
            GateError: nobody answers, or something else does.
        """
        self._where = f"{port} at {baud} baud"
        self._baud = baud
        self._port = _open(port, baud)
        self._heard = bytearray()
        try:
            self._wake()
        except BaseException:
            self._port.close()
            raise

    def __enter__(self) -> SerialBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._port.close()

    def about(self) -> About:
        """Who is there, and what its model takes and gives."""
        size, kind = self._value("tensors", r"m-input-\[(\d{1,9},u?int8)\]").split(",")
        return About(
            name=self._value("name", r"m-name-dut-\[(.*)\]"),
            model=self._value("profile", r"m-model-\[(.*)\]"),
            input_bytes=int(size),
            input_type=kind,
            output_bytes=int(self._value("tensors", r"m-output-\[(\d{1,9}),int8\]")),
        )

    def load(self, x: NDArray[np.int8], about: About) -> None:
        """Sends one input."""
        data = _sent(x, about)
        self.ask(f"db load {len(data)}")
        answer: tuple[str, ...] = ()
        for i in range(0, len(data), _CHUNK_BYTES):
            answer = self.ask(f"db {data[i : i + _CHUNK_BYTES].hex()}")
        if "m-load-done" not in answer:
            raise self._garbled("db", answer)

    def has(self, x: NDArray[np.int8], about: About) -> bool:
        """Whether the input that the board has is ``x``: a line may alter bytes."""
        data = _sent(x, about)
        seconds = ANSWER_S + len(data) * _PRINTED_BITS / self._baud
        answer = self.ask("db print", seconds=seconds)
        rows = (re.fullmatch(r"m-buffer-([0-9a-f-]+)", line) for line in answer)
        return "".join(row[1].replace("-", "") for row in rows if row) == data.hex()

    def infer(self, count: int = 1, warmups: int = 0, *, seconds: float = INFER_S) -> int:
        """Runs the model on the loaded input; microseconds of ``count`` inferences, by the board's clock."""
        answer = self.ask(f"infer {count} {warmups}", seconds=seconds)
        laps = [int(row[1]) for line in answer if (row := re.fullmatch(r"m-lap-us-(\d{1,10})", line))]
        if len(laps) != 2:
            raise self._garbled("infer", answer)
        return (laps[1] - laps[0]) % _WRAP_US

    def outputs(self, about: About) -> NDArray[np.int8]:
        """The last inference's output, byte for byte."""
        digits = self._value("outputs", rf"m-outputs-\[([0-9a-f]{{{2 * about.output_bytes}}})\]")
        return np.frombuffer(bytes.fromhex(digits), np.int8)

    def ask(self, command: str, *, seconds: float | None = None) -> tuple[str, ...]:
        """Sends a command and gives the lines before ``m-ready``.

        Raises:
            GateError: the board refuses, does not end its answer in time, or the line breaks.
        """
        seconds = ANSWER_S if seconds is None else seconds
        self._write(f"{command}%")
        lines: list[str] = []
        for line in self._lines(seconds):
            if line.endswith(READY):
                break
            if line.startswith("e-["):
                raise GateError(
                    f"the board refused {command[:40]!r}: {line[2:]}",
                    where=self._where,
                    fix="flash the program in c/board/ with this build's C files",
                )
            lines.append(line)
        else:
            raise self._silent(f"did not end its answer to {command[:40]!r} within {seconds:g} s", lines)
        return tuple(lines)

    def _value(self, command: str, pattern: str) -> str:
        answer = self.ask(command)
        found = next((row[1] for line in answer if (row := re.fullmatch(pattern, line))), None)
        if found is None:
            raise self._garbled(command, answer)
        return found

    def _wake(self) -> None:
        """Ends whatever command the line was left in, and waits for the answer to a word of our own.

        What is still on its way from before, such as the greeting of a board that was just reset, goes by.
        """
        end = time.monotonic() + CONNECT_S
        lines: list[str] = []
        for attempt in itertools.count():
            word = f"are-you-there-{attempt}"
            self._write(f"%{word}%")
            answered = False
            for line in self._lines(min(_LISTEN_S, CONNECT_S)):
                if answered and line.endswith(READY):
                    return
                answered = answered or word in line
                lines.append(line)
            if time.monotonic() >= end:
                break
        raise self._silent(f"did not answer within {CONNECT_S:g} s", [*lines[-1:], _text(self._heard)])

    def _lines(self, seconds: float) -> Iterator[str]:
        """Lines as they come, for at most so long."""
        end = time.monotonic() + seconds
        while True:
            line, newline, rest = self._heard.partition(b"\n")
            if newline:
                self._heard = rest
                yield _text(line)
                continue
            left = end - time.monotonic()
            if left <= 0:
                return
            if len(self._heard) > _LINE_BYTES:
                raise self._silent("sends bytes without an end of line", [_text(self._heard)])
            self._heard += self._read(left)

    def _read(self, seconds: float) -> bytes:
        import serial

        try:
            self._port.timeout = min(seconds, _READ_S)
            return bytes(self._port.read(max(1, self._port.in_waiting)))
        except (serial.SerialException, OSError, TypeError) as error:  # TypeError: closed while it was read
            raise self._lost(error) from error

    def _write(self, text: str) -> None:
        import serial

        try:
            self._port.write(text.encode("ascii"))
        except (serial.SerialException, OSError) as error:
            raise self._lost(error) from error

    def _lost(self, error: Exception) -> GateError:
        return GateError(
            f"the connection to the board was lost: {error}", where=self._where, fix="check the cable"
        )

    def _silent(self, what: str, lines: list[str]) -> GateError:
        heard = next((line for line in reversed(lines) if line), None)
        return GateError(
            f"the board {what}" + (f"; the last that it said: {heard[:80]!r}" if heard else ""),
            where=self._where,
            fix="check port and baud rate, and that the program in c/board/ runs on the board"
            if heard
            else "check that the program in c/board/ runs on the board, and that this is its port",
        )

    def _garbled(self, command: str, answer: tuple[str, ...]) -> GateError:
        return GateError(
            f"the board answered {command!r} with something else: {' '.join(answer)[:80]!r}",
            where=self._where,
            fix="flash the program in c/board/ as it was built, and check the baud rate",
        )


def _sent(x: NDArray[np.int8], about: About) -> bytes:
    data = np.ascontiguousarray(x).view(np.uint8)
    return (data ^ np.uint8(0x80)).tobytes() if about.input_type == "uint8" else data.tobytes()


def _text(line: bytes | bytearray) -> str:
    return line.decode("ascii", "replace").strip("\r\n\0 ")


def _open(port: str, baud: int) -> Any:
    """A port of pyserial's, which has no types."""
    try:
        import serial
        from serial.tools import list_ports
    except ImportError as error:
        raise InputError(
            "to talk to a board needs pyserial, which is not installed",
            where=f"{SCHEME}{port}",
            fix="pip install 'edgedistill[serial]'",
        ) from error
    try:
        return serial.Serial(port, baud, timeout=_READ_S, write_timeout=ANSWER_S, exclusive=True)
    except (serial.SerialException, OSError, ValueError) as error:
        number = error.errno if isinstance(error, OSError) else None
        reason = os.strerror(number) if number else str(error)
        there = ", ".join(sorted(found.device for found in list_ports.comports())) or "none"
        raise InputError(
            f"the serial port cannot be opened: {reason}",
            where=f"{SCHEME}{port}@{baud}",
            fix=f"connect the board and name its port (here now: {there}); on Linux, your user must be in "
            "the group dialout, and no other program may have it open",
        ) from error
