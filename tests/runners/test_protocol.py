"""The firmware's side of the serial protocol, compiled for this machine under sanitizers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.ir import interpret
from edgedistill.runners import c_here, c_source
from edgedistill.runners.cortex_m import board
from tests import boards
from tests.graphs import random_input, small_integer_graph

GRAPH = small_integer_graph(5)
X = random_input(GRAPH, 2)
SIZE = X[0].size
EXPECTED = interpret.run_batched(GRAPH, {GRAPH.inputs[0]: X})[GRAPH.outputs[0]]
QUANT = GRAPH.tensors[GRAPH.outputs[0]].quant

pytestmark = pytest.mark.skipif(c_here.compiler() is None, reason="needs a C compiler on the PATH")


def export(folder: Path) -> Path:
    c.write(GRAPH, Metadata("student", "", GRAPH.labels, 1 / 64, 0, "0"), folder / "c")
    return folder / "c"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("protocol")
    return boards.program(export(folder), c_here.compiler() or "", *boards.SANITIZERS, *boards.WARNINGS)


def said(program: Path, *commands: str | bytes) -> list[list[str]]:
    """The lines of each answer without ``m-ready``; the first is the greeting."""
    sent = b"".join((text.encode() if isinstance(text, str) else text) + b"%" for text in commands)
    ended = subprocess.run([program], input=sent, capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.endswith(b"m-ready\r\n")
    answers = ended.stdout.decode("ascii").split("m-ready\r\n")[:-1]
    assert len(answers) == 1 + len(commands)
    return [answer.splitlines() for answer in answers]


def load(x: np.ndarray, chunk: int = 31) -> list[str]:
    """As MLPerf Tiny's open runner loads: 31 bytes a command."""
    data = x.tobytes()
    return [f"db load {SIZE}", *(f"db {data[i : i + chunk].hex()}" for i in range(0, SIZE, chunk))]


def test_who_is_there(program: Path) -> None:
    greeting, name, profile, tensors, nothing, help_ = said(
        program, "name", "profile", "tensors", "", "\r\nhelp"
    )
    assert greeting == ["m-timestamp-mode-performance", "m-init-done"]
    assert name == ["m-name-dut-[unspecified]"]
    assert profile == ["m-profile-[ULPMark for tinyML Firmware V0.0.1]", "m-model-[edgedistill_student]"]
    assert tensors == [f"m-input-[{SIZE},int8]", "m-output-[10,int8]"]
    assert nothing == [] and [line.split()[0] for line in help_][:3] == ["name", "profile", "timestamp"]


def test_an_inference_as_the_open_runner_asks_for_it(program: Path) -> None:
    assert QUANT is not None
    for x, expected in zip(X, EXPECTED, strict=True):
        answers = said(program, *load(x), "infer 3 2", "results", "outputs", "infer 1", "timestamp")
        assert answers[1] == [f"m-[Expecting {SIZE} bytes]"]
        assert answers[-6] == ["m-load-done"] and all(answer == [] for answer in answers[2:-6])
        real = QUANT.scale[0] * (expected.astype(np.float32) - np.float32(QUANT.zero_point))
        results = answers[-5][-1]
        assert answers[-5][:-1] == [
            "m-warmup-start-2",
            "m-warmup-done",
            "m-infer-start-3",
            f"m-lap-us-{2**32 - 4096 + 1000}",
            f"m-lap-us-{2**32 - 4096 + 2000}",
            "m-infer-done",
        ]
        values = [float(v) for v in results.removeprefix("m-results-[").removesuffix("]").split(",")]
        np.testing.assert_allclose(values, real.reshape(-1), atol=0.0005 + 1e-6)
        assert answers[-4] == [results]
        assert answers[-3] == [f"m-outputs-[{expected.tobytes().hex()}]"]
        assert answers[-2][0] == "m-warmup-start-10"  # as the reference's firmware where W is not given
        assert answers[-1] == ["m-lap-us-904"]  # the clock began again


def test_what_was_loaded_is_printed(program: Path) -> None:
    answers = said(program, *load(X[0], 7)[:3], "db print", *load(X[0])[1:], "db print")
    first = X[0].tobytes()[:14].hex("-")
    assert answers[4] == [f"m-buffer-{first[:23]}", f"m-buffer-{first[24:]}"]
    everything = "".join(line.removeprefix("m-buffer-").replace("-", "") for line in answers[-1])
    assert len(everything) == 2 * SIZE and everything.startswith(X[0].tobytes()[:14].hex())


def test_excess_digits_are_dropped_and_a_new_load_begins_again(program: Path) -> None:
    start = load(X[0])
    answers = said(program, *start[:-1], start[-1] + "ffff", "db 00", "infer 1 0", "outputs", *load(X[1]),
                   "infer 1 0", "outputs")  # fmt: skip
    n = len(start)
    assert answers[n] == ["m-load-done"] and "must come first" in answers[n + 1][0]
    assert answers[n + 3] == [f"m-outputs-[{EXPECTED[0].tobytes().hex()}]"]
    assert answers[-1] == [f"m-outputs-[{EXPECTED[1].tobytes().hex()}]"]


@pytest.mark.parametrize(
    ("commands", "words"),
    [
        (["hello world"], "e-[Unknown command: hello]"),
        (["names"], "e-[Unknown command: names]"),
        ([b"\xff\x00\x01z\x80"], "e-[Unknown command: ?z?]"),
        (["x" * 80], f"e-[Unknown command: {'x' * 80}]"),
        (["x" * 81], "e-[Command too long]"),
        (["db " + "00" * 5000], "e-[Command too long]"),
        (["db"], "e-[Command 'db' requires a subcommand]"),
        (["db load"], "e-[Command 'db load' requires the # of bytes]"),
        (["db load 0"], f"e-[Command 'db load' must be of {SIZE} bytes]"),
        (["db load -5"], f"e-[Command 'db load' must be of {SIZE} bytes]"),
        ([f"db load {SIZE + 1}"], f"e-[Command 'db load' must be of {SIZE} bytes]"),
        ([f"db load {2**32 + SIZE}"], f"e-[Command 'db load' must be of {SIZE} bytes]"),
        (["db 00"], "e-[Command 'db load' must come first]"),
        ([f"db load {SIZE}", "db 0"], "e-[Insufficient number of hex digits]"),
        ([f"db load {SIZE}", "db 0g"], "e-[Invalid hex digit]"),
        (["infer"], f"e-[Command 'db' must load {SIZE} bytes first]"),
        ([f"db load {SIZE}", "db 00", "infer 1 0"], f"e-[Command 'db' must load {SIZE} bytes first]"),
        (["infer 0"], "e-[Inference iterations must be >0]"),
        (["infer many"], "e-[Inference iterations must be >0]"),
        (["infer 99999999999"], "e-[Inference iterations must be >0]"),
        (["infer 1 -1"], "e-[Inference warmup must be >=0]"),
        (["results"], "e-[Command 'infer' must come first]"),
        (["outputs"], "e-[Command 'infer' must come first]"),
    ],
)
def test_a_wrong_command_is_told_and_the_next_one_works(
    program: Path, commands: list[str | bytes], words: str
) -> None:
    answers = said(program, *commands, "name")
    assert answers[-2] == [words]
    assert answers[-1] == ["m-name-dut-[unspecified]"]


def test_a_refused_chunk_changes_nothing(program: Path) -> None:
    commands = load(X[0])
    answers = said(program, commands[0], "db 12345x", *commands[1:], "infer 1 0", "outputs")
    assert answers[2] == ["e-[Invalid hex digit]"]
    assert answers[-1] == [f"m-outputs-[{EXPECTED[0].tobytes().hex()}]"]


def test_pixels_and_names_by_macros(tmp_path: Path) -> None:
    flags = (
        "-DEDGEDISTILL_BOARD_UINT8",
        '-DEDGEDISTILL_BOARD_NAME="mine"',
        '-DEDGEDISTILL_BOARD_MODEL="ic01"',
    )
    made = boards.program(export(tmp_path), c_here.compiler() or "", *flags)
    pixels = (X[0].astype(np.int16) + 128).astype(np.uint8)
    answers = said(made, "name", "profile", "tensors", *load(pixels), "db print", "infer 1 0", "outputs")
    assert answers[1] == ["m-name-dut-[mine]"] and answers[2][1] == "m-model-[ic01]"
    assert answers[3][0] == f"m-input-[{SIZE},uint8]"
    assert answers[-3][0] == f"m-buffer-{pixels.tobytes()[:8].hex('-')}"
    assert answers[-1] == [f"m-outputs-[{EXPECTED[0].tobytes().hex()}]"]


def test_what_is_written_beside_a_model(tmp_path: Path) -> None:
    folder = export(tmp_path)
    board.write(folder)
    assert sorted(p.name for p in (folder / "board").iterdir()) == [
        "README.md",
        "board_model.h",
        "protocol.c",
        "protocol.h",
    ]
    assert "`edgedistill_student.h`" in (folder / "board" / "README.md").read_text()
    assert c_source.find(folder).name == "edgedistill_student"  # board/ holds no second model
    text = (folder / "board" / "protocol.c").read_text()
    assert [line for line in text.splitlines() if line.startswith("#include")] == [
        '#include "protocol.h"',
        '#include "board_model.h"',
        "#include <stddef.h>",
    ]


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")
def test_it_needs_no_library(tmp_path: Path) -> None:
    folder = export(tmp_path)
    board.write(folder)
    flags = ("-mthumb", "-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-Os", "-std=c99")
    where = (f"-I{folder}", "-c", str(folder / "board" / "protocol.c"), "-o", str(tmp_path / "p.o"))
    subprocess.run(["arm-none-eabi-gcc", *flags, *boards.WARNINGS, *where], check=True)
    names = subprocess.run(
        ["arm-none-eabi-nm", "-u", tmp_path / "p.o"], capture_output=True, text=True, check=True
    )
    assert set(names.stdout.split()) - {"U"} == {
        "edgedistill_board_put",
        "edgedistill_board_get",
        "edgedistill_board_microseconds",
        "edgedistill_student_invoke",
    }
