"""Rows of a board: every byte compared, its own clock's time; and the same over QEMU's serial line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgedistill import target
from edgedistill.bench import board
from edgedistill.errors import GateError, InputError
from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.ir import golden
from edgedistill.ir.graph import Graph
from edgedistill.runners import c_here, cortex_m, serial_board
from edgedistill.runners.serial_board import SerialBoard
from tests import boards

pytest.importorskip("serial", reason="needs pyserial")

M4 = target.load("cortex-m4")
REASON = cortex_m.reason_not_runnable(M4)
needs_compiler = pytest.mark.skipif(c_here.compiler() is None, reason="needs a C compiler on the PATH")
needs_emulator = pytest.mark.skipif(REASON is not None, reason=REASON or "")


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no broken board."""
    monkeypatch.setattr(serial_board, "CONNECT_S", 60.0)
    monkeypatch.setattr(serial_board, "ANSWER_S", 60.0)


@pytest.fixture
def folder(graph: Graph, built: Path) -> Path:
    c.write(graph, Metadata("small", "a test network", graph.labels, 1 / 64, 0, "0"), built / "c")
    return built


def program(folder: Path, *flags: str) -> Path:
    return boards.program(folder / "c", c_here.compiler() or "", *flags)


@needs_compiler
def test_a_board_of_the_users(folder: Path) -> None:
    made = program(folder, '-DEDGEDISTILL_BOARD_NAME="desk 3"')
    with boards.behind_port(made) as port:
        found = board.on_board(folder, port, 115_200, target.load("nucleo-l4r5zi"), runs=20, warmup=3)
    row, (time,) = found.parity, found.measurements
    assert (row.runtime, row.how, row.artifact) == (f"c on serial:{port}", "measured", "c")
    assert row.identical == row.values == golden.load(folder / "golden.npz").outputs.size
    assert "8 inputs" in row.note and "(desk 3), model edgedistill_small" in row.note
    assert (time.quantity, time.how, time.unit, time.count) == ("latency", "measured", "ms", 20)
    assert time.value == time.p50 == pytest.approx(0.25)  # 1,000 microseconds for four
    assert "NUCLEO-L4R5ZI" in time.device.upper() and "desk 3" in time.device
    assert "median of 5 windows of 4, 0.25 to 0.25 ms, 3 warm-up runs" in time.note


@needs_compiler
def test_a_wrong_byte_is_counted(folder: Path) -> None:
    vectors = golden.load(folder / "golden.npz")
    wrong = vectors.outputs.copy()
    wrong.reshape(-1)[5] ^= 1
    golden.save(golden.Golden(vectors.inputs, wrong, vectors.checksums), folder / "golden.npz")
    with boards.behind_port(program(folder)) as port:
        row = board.on_board(folder, port, 115_200, runs=1, warmup=0).parity
    assert row.broken and (row.values - row.identical, row.max_lsb) == (1, 1)


@needs_compiler
def test_a_line_that_alters_bytes_is_not_a_wrong_board(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = SerialBoard.load
    monkeypatch.setattr(SerialBoard, "load", lambda self, x, about: real(self, ~x, about))
    with (
        boards.behind_port(program(folder)) as port,
        pytest.raises(GateError, match=r"(?s)altered bytes of an input.*lower baud rate"),
    ):
        board.on_board(folder, port, 115_200, runs=1, warmup=0)


@needs_compiler
def test_a_clock_that_stands_gives_no_time(folder: Path) -> None:
    with boards.behind_port(program(folder, "-DSTEP_US=0u")) as port:
        (time,) = board.on_board(folder, port, 115_200, runs=5, warmup=0).measurements
    assert time.value is None and time.how == "not run" and "does not advance" in time.note


@needs_compiler
def test_a_board_with_another_model(folder: Path) -> None:
    vectors = golden.load(folder / "golden.npz")
    other = golden.Golden(vectors.inputs[:, :-1].copy(), vectors.outputs, vectors.checksums)
    golden.save(other, folder / "golden.npz")
    with (
        boards.behind_port(program(folder)) as port,
        pytest.raises(InputError, match=r"another model \(edgedistill_small\): .* bytes in and"),
    ):
        board.on_board(folder, port, 115_200, runs=1, warmup=0)


@pytest.fixture
def short(folder: Path) -> Path:
    """With two golden inputs: every byte to QEMU's serial line is a change between two of its threads."""
    vectors = golden.load(folder / "golden.npz")
    golden.save(golden.Golden(vectors.inputs[:2], vectors.outputs[:2], {}), folder / "golden.npz")
    return folder


@needs_emulator
def test_the_firmware_in_qemu(short: Path) -> None:
    """The program of real boards, linked with a UART, over a pseudo-terminal: bytes and instructions."""
    found = board.on_emulated_board(short, M4, runs=10, warmup=1, trust=True)
    row, (counted,) = found.parity, found.measurements
    assert (row.runtime, row.how) == ("c on serial line of mps2-an386", "emulated")
    assert row.identical == row.values > 0 and "2 inputs" in row.note
    x = golden.load(short / "golden.npz").inputs[-1:]
    alone = cortex_m.run(short / "c", M4, x).instructions[0]
    assert (counted.quantity, counted.how, counted.count) == ("instructions", "emulated", 10)
    assert counted.value == pytest.approx(alone, rel=0.01)


@needs_emulator
@pytest.mark.slow
@pytest.mark.parametrize("name", ["cortex-m0plus", "cortex-m33", "cortex-m55"])
def test_the_firmware_on_other_machines(short: Path, name: str) -> None:
    found = board.on_emulated_board(short, target.load(name), runs=5, warmup=0, trust=True).parity
    assert found.identical == found.values > 0


def test_an_emulated_board_needs_its_programs_and_trust(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="has no emulator"):
        board.on_emulated_board(folder, target.load("esp32-s3"), runs=1, warmup=0, trust=True)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    with pytest.raises(InputError, match="pass --trust"):
        board.on_emulated_board(folder, M4, runs=1, warmup=0)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="apt-get install"):
        board.on_emulated_board(folder, M4, runs=1, warmup=0, trust=True)


def test_golden_vectors_without_a_row(folder: Path) -> None:
    vectors = golden.load(folder / "golden.npz")
    golden.save(golden.Golden(vectors.inputs[:0], vectors.outputs[:0], {}), folder / "golden.npz")
    with boards.liar(boards.answers({})) as port, pytest.raises(InputError, match="there is nothing in them"):
        board.on_board(folder, port, 9_600, runs=1, warmup=0)
