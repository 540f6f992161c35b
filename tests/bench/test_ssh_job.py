"""The zip file that a board runs, and what of its answers is believed."""

from __future__ import annotations

import ast
import base64
import json
import subprocess
import sys
import zipfile
import zlib
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedistill.bench import ssh_job
from edgedistill.bench.on_board import program
from edgedistill.bench.on_board.program import MARK
from edgedistill.bench.places import Request
from edgedistill.bench.ssh_job import Pace, Report, Task
from edgedistill.errors import GateError, InputError
from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.ir import golden
from edgedistill.ir.graph import Graph


def text_of(module: str) -> str:
    return resources.files("edgedistill").joinpath(module).read_text(encoding="utf-8")


@pytest.mark.parametrize("module", ssh_job.MODULES)
def test_what_runs_there_is_python_3_9_and_its_standard_library(module: str) -> None:
    tree = ast.parse(text_of(module), feature_version=(3, 9))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    shipped = {"edgedistill." + m.removesuffix(".py").replace("/", ".") for m in ssh_job.MODULES}
    packages = {name.rpartition(".")[0] for name in shipped}
    outside = {n for n in names if n.partition(".")[0] not in sys.stdlib_module_names}
    assert outside <= shipped | packages | {"numpy"}
    newer = ("strict=", "import tomllib", "@dataclass(slots", "kw_only=")
    assert not [word for word in newer if word in text_of(module)]


def test_files_have_names_of_ours(built: Path, tmp_path: Path) -> None:
    hostile = built / "$(reboot); '\".tflite"
    (built / "student.tflite").rename(hostile)
    vectors = golden.load(built / "golden.npz")
    archive = tmp_path / "run.pyz"
    tasks = [Task(hostile, "tflite", vectors), Task(built / "student-float32.onnx", "onnx", vectors)]
    ssh_job.pack(archive, tasks, Pace(), Request(built, runs=5, adaptive=True))
    with zipfile.ZipFile(archive) as file:
        names = [name.removeprefix("job/") for name in file.namelist() if name.startswith("job/")]
        job = json.loads(file.read("job/job.json"))
    assert names == ["model-0.tflite", "inputs-0.bin", "model-1.onnx", "inputs-1.bin", "job.json"]
    assert (job["least"], job["most"]) == (5, 5_000)
    assert [model["float"] for model in job["models"]] == [False, True]
    there = tmp_path / "board"
    there.mkdir()
    program.unpack(archive, there)
    assert (there / "model-0.tflite").read_bytes() == hostile.read_bytes()
    assert (there / "inputs-0.bin").read_bytes() == vectors.inputs.tobytes()


def test_c_files_of_another_name_are_refused(graph: Graph, tmp_path: Path) -> None:
    meta = Metadata("small", "", graph.labels, 1 / 64, 0, "0")
    c.write(graph, meta, tmp_path / "c")
    header = next((tmp_path / "c").glob("edgedistill_*.h"))
    for path in (header, header.with_suffix(".c")):
        path.rename(path.with_name(f"edgedistill_a;b{path.suffix}"))
    vectors = golden.Golden(np.zeros((1, 4), np.int8), np.zeros((1, 4), np.int8), {})
    with pytest.raises(InputError, match="is no name of C files of ours"):
        ssh_job.pack(tmp_path / "x", [Task(tmp_path / "c", "c", vectors)], Pace(), Request(tmp_path))


@pytest.mark.parametrize("name", ["job/../x", "job/a/b", "job//etc/x"])
def test_a_job_stays_in_its_folder(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "run.pyz", "w") as file:
        file.writestr(name, "x")
    with pytest.raises(ValueError, match="outside its folder"):
        program.unpack(tmp_path / "run.pyz", tmp_path)


def test_an_old_python_is_told(tmp_path: Path) -> None:
    """Faked: the version that Python says it has."""
    code = f"import sys; sys.version_info = (3, 8)\n{ssh_job._MAIN}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    report = Report("ssh:a test")
    report.add(done.stdout.strip())
    assert report.old_python == "3.8"


def line(**said: Any) -> str:
    return f"{MARK} {json.dumps(said)}"


def answered(**other: Any) -> str:
    said = {
        "kind": "model",
        "model": 0,
        "runtime": "litert 2",
        "times_ms": [1.0],
        "peak_bytes": 1,
        "baseline_bytes": 0,
        "answers": base64.b64encode(zlib.compress(b"\1\2\3\4")).decode(),
        "frequencies_mhz": [],
    }
    return line(**{**said, **other})


@pytest.mark.parametrize(
    "said",
    [
        f"{MARK} no JSON",
        line(kind="nothing known"),
        line(kind="end", more=1),
        answered(model=-1),
        answered(model=10**9),
        answered(times_ms=[]),
        answered(times_ms=[-1.0]),
        answered(times_ms=[1e30]),
        answered(times_ms="fast"),
        answered(peak_bytes=-5),
        f'{MARK} {{"kind": "state", "temperatures_c": {{"a": NaN}}}}',
    ],
)
def test_what_nobody_asked(said: str) -> None:
    with pytest.raises(GateError, match="answered what nobody asked"):
        Report("ssh:a test").add(said)


def test_the_noise_of_a_login_shell_is_passed_over_and_no_cursor_moves() -> None:
    report = Report("ssh:a test")
    report.add("Welcome to a board!")
    report.add("")
    report.add(answered(runtime="lit\x1b[2Jert\n 2"))
    assert report.answered[0].runtime == "lit [2Jert 2"


def test_answers() -> None:
    report, like = Report("ssh:a test"), np.zeros((2, 2), np.int8)
    report.add(answered())
    np.testing.assert_array_equal(report.outputs(0, like), [[1, 2], [3, 4]])
    for content, words in (
        (zlib.compress(b"123"), "answered 3 bytes where 4"),
        (zlib.compress(b"\0" * 10_000_000), "answered 5 bytes or more where 4"),  # unpacked no further
        (b"no zlib", "are garbled"),
    ):
        report.add(answered(answers=base64.b64encode(content).decode()))
        with pytest.raises(GateError, match=words):
            report.outputs(0, like)
