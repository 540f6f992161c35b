"""The commands around the build, and how fast the command line answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import edgedistill
from edgedistill.bench import parity
from edgedistill.cli.lists import LISTS
from edgedistill.record import Parity
from tests.cli.conftest import Run


def test_help_is_fast_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['edgedistill', '--help']\nfrom edgedistill.cli import main\n"
        "try:\n    main()\nfinally:\n"
        "    heavy = {'torch', 'numpy', 'onnx', 'coremltools', 'pydantic', 'importlib.metadata',\n"
        "        'edgedistill.store'} & set(sys.modules)\n"
        "    print('heavy:', sorted(heavy), file=sys.stderr)"
    )
    seconds = []
    for _ in range(3):  # processor time, the best of three: other processes share the machine
        before = os.times()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        after = os.times()
        seconds.append(
            after.children_user + after.children_system - before.children_user - before.children_system
        )
        assert "build" in done.stdout and "heavy: []" in done.stderr
    assert min(seconds) < 0.5


def test_the_help_of_bench_names_every_place_as_it_is_written(run: Run) -> None:
    from edgedistill.bench.places import PLACES

    told = run("bench", "--help").output
    words = "".join(told.replace("│", "").split())
    assert all(row.written(name) in words for name, row in PLACES.items())
    panels = ("Timing", "Emulators, boards and phones", "History and limits")
    assert all(f"─ {panel} ─" in told for panel in panels)


def test_the_package_offers_build_and_recipe() -> None:
    import importlib

    page = importlib.import_module("edgedistill.build")
    assert edgedistill.build is page.build
    assert edgedistill.Recipe(seed=3).seed == 3


def test_version(run: Run) -> None:
    assert run("--version").output == f"edgedistill {edgedistill.__version__}\n"


@pytest.mark.parametrize("kind", sorted(LISTS))
def test_lists_print_the_packages_tables(run: Run, kind: str) -> None:
    rows = json.loads(run("list", kind, "--json").stdout)
    assert rows and all(all(row.values()) for row in rows)
    names = run("list", kind, "--quiet").stdout.splitlines()
    assert names == [next(iter(row.values())) for row in rows]
    text = "".join(run("list", kind).stdout.split())
    assert all("".join(name.split())[:8] in text for name in names)


def test_an_unknown_list_offers_the_nearest(run: Run) -> None:
    result = run("list", "teacher")
    assert result.exit_code == 2 and "did you mean teachers" in result.stderr


def test_targets(run: Run) -> None:
    assert "raspberry-pi-5" in run("targets", "list", "--quiet").stdout.splitlines()
    shown = run("targets", "show", "raspberry-pi-5").stdout
    assert "2.4 GHz" in shown and "product brief" in shown
    shown = run("targets", "show", "nucleo-l4r5zi").stdout
    assert "1.5 to 1.8" in shown and "mps2-an386" in shown and "default_runner" in shown
    Path("mine.toml").write_text(
        Path(edgedistill.__file__).parent.parent.joinpath("targets/ios-arm64.toml").read_text()
    )
    assert "good; build for it with --target mine.toml" in run("targets", "check", "mine.toml").stdout
    Path("mine.toml").write_text("title = 3")
    result = run("targets", "check", "mine.toml")
    assert result.exit_code == 2 and "title must be a text in quotes" in result.stderr


def _parity(identical: int, family: str = "F") -> Parity:
    return Parity.model_validate(
        {
            "runtime": "litert 1",
            "artifact": "student.tflite",
            "values": 10,
            "identical": identical,
            "family": family,
        }
    )


def test_verify_is_a_gate(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "verify_dir", lambda path, **more: (_parity(10),))
    result = run("verify", "somewhere")
    assert result.exit_code == 0 and "10 of 10" in result.stdout
    monkeypatch.setattr(parity, "verify_dir", lambda path, **more: (_parity(9),))
    result = run("verify", "somewhere")
    assert result.exit_code == 1 and "differs from the interpreter on 1 of 10 values" in result.stderr


def test_a_path_that_is_not_there_is_the_users_mistake(run: Run) -> None:
    for command in ("verify", "bench", "inspect"):
        result = run(command, "nowhere")
        assert result.exit_code == 2, result.output
        assert "nowhere" in result.stderr and "Traceback" not in result.stderr


def test_inspect_prints_the_graph(run: Run) -> None:
    from edgedistill.ir import serial
    from tests.graphs import integer_cases

    name, graph = next(iter(integer_cases(0).items()))
    Path("graph.npz").write_bytes(serial.to_bytes(graph))
    assert graph.ops[0].kind in run("inspect", ".").stdout, name
    found = json.loads(run("inspect", "graph.npz", "--json").stdout)
    assert found["ops"][0]["kind"] == graph.ops[0].kind
    assert found["arena_lower_bound_bytes"] <= found["arena_bytes"]
    assert {place["name"] for place in found["arena"]} == set(graph.activations())
    assert "memory, operator by operator: " in run("inspect", ".").stdout


def test_inspect_maps_memory_as_the_c_files_use_it(run: Run) -> None:
    from edgedistill.export import c
    from edgedistill.ir import serial
    from tests.graphs import small_integer_graph

    graph = small_integer_graph(2)
    Path("graph.npz").write_bytes(serial.to_bytes(graph))
    Path("c").mkdir()
    assert "memory, as the C files use it: " in run("inspect", ".").stdout
    assert json.loads(run("inspect", ".", "--json").stdout)["arena_bytes"] == c.memory(graph).peak


@pytest.mark.parametrize("kind", ["recipe", "record", "target"])
def test_schemas_are_json(run: Run, kind: str) -> None:
    assert json.loads(run("schema", kind).stdout)["type"] == "object"


def test_doctor_looks_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    checks = {c["name"]: c for c in json.loads(run("doctor", "--json").stdout)}
    assert checks["torch"]["state"] == "good" and checks["output"]["state"] == "good"
    assert {"C compiler", "arm-none-eabi-gcc", "qemu-system-arm"} <= checks.keys()
    assert not any(tmp_path.iterdir())


def test_doctor_names_the_package_of_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    monkeypatch.setattr(shutil, "which", lambda name: None)
    checks = {c["name"]: c for c in json.loads(run("doctor", "--json").stdout)}
    for program, package in (
        ("arm-none-eabi-gcc", "gcc-arm-none-eabi"),
        ("qemu-system-arm", "qemu-system-arm"),
        ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
        ("qemu-aarch64-static", "qemu-user-static"),
    ):
        assert checks[program]["state"] == "missing"
        assert f"apt-get install {package}" in checks[program]["detail"]
