"""``bench --on``: a board at a serial port, and every way in which there is none."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from edgedistill.cli import doctor
from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.ir import golden
from edgedistill.runners import c_here, serial_board
from edgedistill.runners.serial_board import SerialBoard
from tests import boards
from tests.cli.conftest import Run
from tests.graphs import random_input, small_integer_graph

pytest.importorskip("serial", reason="needs pyserial")

GRAPH = small_integer_graph(3)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(serial_board, "ANSWER_S", 60.0)  # a busy machine is no broken board
    made = tmp_path / "build"
    c.write(GRAPH, Metadata("small", "", GRAPH.labels, 1 / 64, 0, "0"), made / "c")
    golden.save(golden.golden(GRAPH, random_input(GRAPH, 2)), made / "golden.npz")
    return made


@pytest.mark.skipif(c_here.compiler() is None, reason="needs a C compiler on the PATH")
def test_a_board(run: Run, folder: Path) -> None:
    made = boards.program(folder / "c", c_here.compiler() or "")
    with boards.behind_port(made) as port:
        words = run("bench", str(folder), "--on", f"serial:{port}@9600", "--target", "rp2040-pico")
        rows = run("bench", str(folder), "--on", f"serial:{port}", "--runs", "5", "--json")
        vectors = golden.load(folder / "golden.npz")
        golden.save(golden.Golden(vectors.inputs, ~vectors.outputs, {}), folder / "golden.npz")
        wrong = run("bench", str(folder), "--on", f"serial:{port}")
    assert words.exit_code == rows.exit_code == 0, words.stderr + rows.stderr
    assert f"c on serial:{port}: identical (family F, 2 inputs" in words.output.replace("\n", " ")
    found = json.loads(rows.stdout)
    assert [row["quantity"] for row in found["measurements"]] == ["latency"]
    (parity,) = found["parity"]
    assert parity["identical"] == parity["values"] > 0
    assert wrong.exit_code == 1 and "differs from the interpreter" in wrong.stderr
    assert "flash this build's C files" in wrong.stderr


@pytest.mark.parametrize(
    ("on", "words"),
    [
        ("serial:/dev/not-there", "cannot be opened: No such file"),
        ("serial:", "not a serial port"),
        ("serial:/dev/not-there@fast", "not a serial port"),
        ("usb", "nothing can be measured on 'usb'"),
        ("qemu-serial", "an emulator belongs to a target"),
        ("adb:-s", "no serial of a phone"),
        ("adb:$(touch injected)", "no serial of a phone"),
        ("adb:a b;c", "no serial of a phone"),
    ],
)
def test_no_board(run: Run, folder: Path, on: str, words: str) -> None:
    result = run("bench", str(folder), "--on", on)
    assert result.exit_code == 2 and words in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("answer", "words"),
    [(b"", "did not answer within 0.5 s"), (b"\xf8\x00\x86~\r\n", "the last that it said")],
)
def test_silence_and_garbage(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes, words: str
) -> None:
    monkeypatch.setattr(serial_board, "CONNECT_S", 0.5)
    with boards.liar(lambda heard: answer) as port:
        result = run("bench", str(folder), "--on", f"serial:{port}")
    assert result.exit_code == 1 and words in result.stderr and "Traceback" not in result.stderr


def test_stopped_by_the_user(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = []

    def stop(self: SerialBoard) -> None:
        lines.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(SerialBoard, "about", stop)
    with boards.liar(boards.answers({})) as port:
        result = run("bench", str(folder), "--on", f"serial:{port}")
    assert result.exit_code == 130 and not lines[0]._port.is_open


def test_without_pyserial(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    result = run("bench", str(folder), "--on", "serial:/dev/ttyACM0")
    assert result.exit_code == 2 and "pip install 'edgedistill[serial]'" in result.stderr


def test_the_tables_name_it(run: Run) -> None:
    assert "serial" in run("list", "runners", "--quiet").stdout.split()
    assert "edgedistill[serial]" in doctor._OPTIONAL["pyserial"]
