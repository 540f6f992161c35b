"""A build on a board over ssh: a real sshd on the loopback, and this machine's Python as the board's.

Faked, and named so where it is: the Raspberry Pi's vcgencmd, whose power rises with every look at it.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgedistill.bench import places, ssh
from edgedistill.bench.places import Request
from edgedistill.bench.ssh_job import Pace
from edgedistill.cli.app import app
from edgedistill.errors import GateError, InputError
from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.ir import golden
from edgedistill.ir.graph import Graph
from edgedistill.runners import c_here
from tests import sshd
from tests.runners.test_openssh import eventually, processes
from tests.sshd import Sshd

pytestmark = pytest.mark.skipif(sshd.missing() is not None, reason=str(sshd.missing()))
QUICK = Pace(latency_s=0.2, step_s=60, idle_s=0.4, windows=2, window_s=0.3, sample_s=0.02)

FAKE_VCGENCMD = """#!/bin/sh
echo . >>"$0.looks"
looks=$(wc -l <"$0.looks")
case "$1" in
get_throttled) echo throttled=0x$((looks > 1 ? 4 : 0)) ;;
pmic_read_adc) echo "  VDD_CORE_A current(7)=$looks.0A"; echo "  VDD_CORE_V volt(15)=1.5V" ;;
esac
"""


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd.running(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def request_(built: Path, board: Sshd) -> Request:
    """For one .tflite alone, whose name is hostile."""
    hostile = built / "--$(reboot); 'a' \"b\" .tflite"
    (built / "student.tflite").rename(hostile)
    for name in ("student.onnx", "student-float32.onnx", "student-float32.tflite"):
        (built / name).unlink()
    return Request(hostile, board.on, runs=8, warmup=1, python=sys.executable, ssh_config=board.config)


def test_every_byte_and_every_figure_of_two_models(
    board: Sshd, request_: Request, built: Path, graph: Graph
) -> None:
    if c_here.compiler() is None:
        pytest.skip("needs a C compiler on the PATH")
    c.write(graph, Metadata("small", "", graph.labels, 1 / 64, 0, "0"), built / "c")
    request_.path.rename(built / "student.tflite")
    (board.bin / "vcgencmd").write_text(FAKE_VCGENCMD)
    (board.bin / "vcgencmd").chmod(0o755)
    try:
        found = ssh.measure(replace(request_, path=built, trust=True), QUICK)
    finally:
        for path in board.bin.iterdir():
            path.unlink()
    assert [p.artifact for p in found.parity] == ["student.tflite", "c"]
    for parity in found.parity:
        assert parity.identical == parity.values > 0 and parity.how == "measured"
        assert f"on {board.on}" in parity.runtime and "Linux" in parity.note
    rows = {(m.artifact, m.quantity): m for m in found.measurements}
    assert len(rows) == 6
    for (artifact, quantity), row in rows.items():
        assert row.how == "measured" and row.value is not None and row.value > 0, (artifact, quantity, row)
    assert rows["student.tflite", "latency"].count == 8
    for artifact in ("student.tflite", "c"):
        latency = rows[artifact, "latency"]
        assert latency.low is not None and latency.high is not None and latency.value is not None
        assert latency.low <= latency.value <= latency.high and "throttled now" in latency.isolation
    assert rows["c", "latency"].runtime.startswith("c by ")
    energy = rows["student.tflite", "energy"]
    assert "PMIC" in energy.note and "not USB" in energy.note and "taken off" in energy.note
    assert any("throttled now" in words for words in found.warnings)
    assert board.folders() == [] and processes(str(board.config)) == []


def test_the_command_with_other_bytes(board: Sshd, request_: Request) -> None:
    vectors = golden.load(request_.path.parent / "golden.npz")
    golden.save(golden.Golden(vectors.inputs, ~vectors.outputs, {}), request_.path.parent / "golden.npz")
    words = ["--python", sys.executable, "--ssh-config", str(board.config), "--runs", "5", "--json"]
    result = CliRunner().invoke(app, ["bench", str(request_.path), "--on", board.on, *words])
    assert result.exit_code == 1
    (parity,) = json.loads(result.stdout)["parity"]
    assert parity["how"] == "measured" and parity["identical"] < parity["values"]
    assert "differs from the interpreter" in result.stderr and board.on in result.stderr


def test_a_board_without_runtimes_or_without_python(board: Sshd, request_: Request) -> None:
    bare = board.bin / "bare python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(InputError, match="has no ai-edge-litert and no tflite-runtime") as raised:
        ssh.measure(replace(request_, python=str(bare)), QUICK)
    assert "pip install ai-edge-litert; then pass --python" in (raised.value.fix or "")
    with pytest.raises(InputError, match="there is no program /not/'there;"):
        ssh.measure(replace(request_, python="/not/'there;"), QUICK)
    assert board.folders() == []


def test_a_disk_that_is_full_when_the_job_is_unpacked(board: Sshd, request_: Request) -> None:
    """Faked: a limit on the size of files, and then the words of a disk that has no space."""
    tight = board.bin / "tight"
    for does, words in (
        (
            f'ulimit -f 1; exec {sys.executable} "$@"',
            "ended with 1 at the beginning: OSError: .* File too large",
        ),
        ("echo OSError: No space left on device >&2; exit 1", "the disk of the board is full"),
    ):
        tight.write_text(f"#!/bin/sh\n{does}\n")
        tight.chmod(0o755)
        with pytest.raises(GateError, match=words):
            ssh.measure(replace(request_, python=str(tight)), QUICK)
    assert board.folders() == []


def test_a_file_that_the_runtime_refuses(board: Sshd, request_: Request) -> None:
    request_.path.write_bytes(request_.path.read_bytes()[:200])
    with pytest.raises(GateError, match="the model does not run on the board"):
        ssh.measure(request_, QUICK)
    assert board.folders() == []


@pytest.mark.parametrize("python", ["-c", "", "~/", "a\nb", "x\x1b[2J"])
def test_a_python_that_is_none(python: str) -> None:
    if python == "":
        assert ssh.board_python(None) == "python3" and ssh.board_python("~/e/bin/python") == "e/bin/python"
        return
    with pytest.raises(InputError, match="no path of a program"):
        ssh.board_python(python)


def test_what_is_not_run(request_: Request, built: Path, graph: Graph) -> None:
    c.write(graph, Metadata("small", "", graph.labels, 1 / 64, 0, "0"), built / "c")
    with pytest.raises(InputError, match="compile and run"):
        ssh.measure(replace(request_, path=built / "c"), QUICK)
    with pytest.raises(InputError, match="--python is of a board over ssh"):
        places.bench(Request(built, "here", python="python3"))
    with pytest.raises(InputError, match="no such file"):
        ssh.measure(replace(request_, ssh_config=built / "none"), QUICK)


def test_ctrl_c_while_a_model_is_measured(board: Sshd, request_: Request) -> None:
    slow = board.bin / "slow-python"  # faked: a model that takes its time
    begun = board.folder / "begun"
    slow.write_text(
        f'#!/bin/sh\ncase "$*" in *measure*) echo >"{begun}"; sleep 31.25;; esac\n'
        f'exec {sys.executable} "$@"\n'
    )
    slow.chmod(0o755)
    words = ["--python", str(slow), "--ssh-config", str(board.config), "--on", board.on]
    command = [sys.executable, "-m", "edgedistill", "bench", str(request_.path), *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert eventually(begun.exists) and processes("31.25")
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130 and time.monotonic() - began < 10
    assert out == "" and "Traceback" not in err
    assert eventually(lambda: board.folders() == [] and processes(str(board.config)) == [])
    assert eventually(lambda: processes("31.25") == []), "what ran there does not go on"
