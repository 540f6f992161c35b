"""The command ``compile``: what it writes, what it says, and how each kind of bad input ends."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedistill import target
from edgedistill.bench.parity import verify_dir
from edgedistill.compiler import random_inputs
from edgedistill.errors import GateError
from edgedistill.export import EXPORTERS, c
from edgedistill.export import tflite as printer
from edgedistill.export.c import memory
from edgedistill.export.metadata import Metadata
from edgedistill.ir import golden, plan, serial
from edgedistill.ir.graph import Graph
from edgedistill.record import Parity, load
from edgedistill.runners.cortex_m.firmware import STACK_BYTES
from edgedistill.sizing.flash import planned
from tests.cli.conftest import Run
from tests.graphs import Builder, small_float_graph, small_integer_graph
from tests.read.test_tflite import changed

META = Metadata("small", "a test network", ("a", "b"), 1 / 64, 0, "0")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.tflite"
    graph = small_integer_graph(3)
    printer.write(graph, Metadata("small", "", graph.labels, 1 / 64, 0, "0"), path)
    return path


def inexact() -> Graph:
    """An ADD whose scales have no odd denominator."""
    net = Builder("inexact", 0)
    image = net.input((1, 8, 8, 4), 0.02)
    net.add(image, net.conv(image, 4, scale=0.0123457), 255, 131)
    return net.graph()


def test_it_writes_proven_files(run: Run, model: Path, tmp_path: Path) -> None:
    done = run("compile", str(model))
    assert done.exit_code == 0, done.stderr
    out = tmp_path / "out" / "net"
    graph = small_integer_graph(3)
    assert {p.name for p in out.iterdir()} >= {
        *("golden.npz", "graph.npz", "labels.txt", "record.json", "student.onnx", "student.tflite"),
    }
    assert {p.name for p in (out / "c" / "board").iterdir()} == {
        "README.md",
        "board_model.h",
        "protocol.c",
        "protocol.h",
    }
    assert serial.load(out / "graph.npz").ops == graph.ops
    vectors = golden.load(out / "golden.npz")
    assert np.array_equal(vectors.inputs, random_inputs(graph, 16))
    assert np.array_equal(vectors.outputs, golden.golden(graph, vectors.inputs).outputs)
    record = load(out / "record.json")
    assert record.graph.exact_by_construction and record.target == "any"
    ran = [row for row in record.parity if row.family == "F" and row.how != "not run"]
    assert len(ran) >= 2 and all(row.identical == row.values > 0 for row in ran)
    assert all(row.identical == row.values for row in verify_dir(out) if row.family == "F")
    assert "every operator is exact by construction" in done.stdout
    assert f"{record.graph.arena_bytes:,} bytes; no plan is below" in done.stdout
    assert not [p for p in out.parent.iterdir() if p.name.startswith(".")]


def test_a_second_run_replaces_the_first(run: Run, model: Path, tmp_path: Path) -> None:
    assert run("compile", str(model), "--quiet").output == ""
    first = (tmp_path / "out/net/golden.npz").read_bytes()
    done = run("compile", str(model), "--format", "tflite", "--inputs", "20", "--json")
    assert done.exit_code == 0
    record = json.loads(done.stdout)
    assert [a["format"] for a in record["artifacts"]] == ["golden", "graph", "labels", "tflite"]
    assert not (tmp_path / "out/net/student.onnx").exists()
    assert len(golden.load(tmp_path / "out/net/golden.npz").inputs) == 20
    assert (tmp_path / "out/net/golden.npz").read_bytes() != first


def test_an_onnx_file_becomes_a_tflite_file(run: Run, tmp_path: Path) -> None:
    graph = small_integer_graph(3)
    meta = Metadata("small", "", graph.labels, 1 / 64, 0, "0")
    EXPORTERS["onnx"].write(graph, meta, tmp_path / "net.onnx")
    printer.write(graph.replace(name="net"), meta, tmp_path / "net.tflite")
    assert run("compile", "net.onnx", "--format", "tflite", "--out", "a").exit_code == 0
    assert run("compile", "net.tflite", "--format", "tflite", "--out", "b").exit_code == 0
    ours = [serial.load(tmp_path / out / "graph.npz") for out in ("a", "b")]
    assert ours[0].ops == ours[1].ops and ours[0].inputs == ours[1].inputs
    vectors = [golden.load(tmp_path / out / "golden.npz") for out in ("a", "b")]
    assert vectors[0].checksums == vectors[1].checksums


def test_c_comes_as_a_folder_that_firmware_takes(run: Run, model: Path, tmp_path: Path) -> None:
    done = run("compile", str(model), "--format", "c,onnx", "--inputs", "2", "--quiet")
    assert done.exit_code == 0, done.stderr
    out = tmp_path / "out" / "net"
    files = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert {f"c/edgedistill_net.{ext}" for ext in "hc"} < files
    assert {"c/CMakeLists.txt", "c/library.properties", "c/zephyr/module.yml", "c/idf_component.yml"} < files
    assert load(out / "record.json").graph.arena_bytes == c.memory(small_integer_graph(3)).peak


def test_family_d_is_of_the_c_files_alone(run: Run, model: Path, tmp_path: Path) -> None:
    done = run("compile", str(model), "--format", "c,tflite", "--family", "d", "--inputs", "4", "--json")
    assert done.exit_code == 0, done.stderr
    out, graph = tmp_path / "out" / "net", small_integer_graph(3)
    assert "#define EDGEDISTILL_NET_FAMILY 'D'" in (out / "c/edgedistill_net.h").read_text()
    of_f, of_d = golden.load(out / "golden.npz"), golden.load(out / "c/golden.npz")
    assert dict(of_f.checksums) == dict(golden.golden(graph, of_f.inputs).checksums)
    assert dict(of_d.checksums) == dict(golden.golden(graph, of_f.inputs, "D").checksums)
    assert of_d.checksums != of_f.checksums
    rows = {(row["artifact"], row["family"]): row for row in json.loads(done.stdout)["parity"]}
    assert set(rows) == {("student.tflite", "F"), ("student.tflite", "D"), ("c", "D")}
    (again,) = (row for row in verify_dir(out, trust=True) if row.artifact == "c")
    assert again.family == "D" and again.identical == again.values


def test_a_family_needs_c_and_a_known_name(run: Run, model: Path, tmp_path: Path) -> None:
    done = run("compile", str(model), "--format", "onnx", "--family", "D")
    assert done.exit_code == 2 and "C is not among the formats" in done.stderr
    done = run("compile", str(model), "--family", "E")
    assert done.exit_code == 2 and "known: D, F" in done.stderr
    assert not (tmp_path / "out").exists()


def test_operators_that_c_lacks_are_named_all_at_once(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgedistill.export.c import operators

    for kind in ("TABLE", "MAX_POOL_2D"):
        monkeypatch.delitem(operators.OPERATORS, kind)  # type: ignore[arg-type]
    done = run("compile", str(model), "--format", "c", "--family", "D")
    assert done.exit_code == 2 and "the C of family D cannot compute" in done.stderr
    assert "(TABLE)" in done.stderr and "(MAX_POOL_2D)" in done.stderr
    assert not (tmp_path / "out" / "net").exists()


def test_formats_are_those_of_the_table(run: Run, model: Path, tmp_path: Path) -> None:
    done = run("compile", str(model), "--format", "tfilte")
    assert done.exit_code == 2 and "did you mean tflite" in done.stderr
    assert all(name in done.stderr for name in EXPORTERS)
    assert run("compile", str(model), "--format", ",").exit_code == 2
    done = run("compile", str(model), "--target", "android-arm64", "--out", "phone", "--json")
    assert done.exit_code == 0 and json.loads(done.stdout)["target"] == "android-arm64"
    assert not (tmp_path / "out").exists()


def board(tmp_path: Path, ram: int, flash: int) -> str:
    facts = {
        "isa": '"armv7e-m"',
        "runtimes": '["litert"]',
        "formats": '["tflite"]',
        "ram_bytes": str(ram),
        "flash_bytes": str(flash),
    }
    text = 'title = "tiny board"\n' + "".join(
        f'[{key}]\nvalue = {value}\nsource = "a data sheet"\n' for key, value in facts.items()
    )
    (tmp_path / "tiny.toml").write_text(text, encoding="utf-8")
    return str(tmp_path / "tiny.toml")


def test_a_network_that_does_not_fit_is_refused_before_anything_is_written(
    run: Run, model: Path, tmp_path: Path
) -> None:
    for ram, flash, words in (
        (1_000, 10**6, "the activations need"),
        (10**6, 1_000, "the weights alone need"),
        (10**6, 9_000, "student.tflite has"),
    ):
        done = run("compile", str(model), "--target", board(tmp_path, ram, flash))
        assert done.exit_code == 2 and words in done.stderr and "tiny board has" in done.stderr
        assert not (tmp_path / "out/net").exists()
    assert run("compile", str(model), "--target", board(tmp_path, 10**6, 10**6)).exit_code == 0


def test_c_that_does_not_fit_a_board_is_refused_with_its_stack_and_code(
    run: Run, model: Path, tmp_path: Path
) -> None:
    m4 = (Path(__file__).parents[2] / "targets/cortex-m4.toml").read_text(encoding="utf-8")
    arena = memory(small_integer_graph(3)).peak
    found = planned(small_integer_graph(3), target.load("cortex-m4"))
    flash = plan.weight_bytes(small_integer_graph(3)) if found is None else found.total_bytes
    for ram, room, words in (
        (arena + STACK_BYTES - 1, 10**6, "arena and stack need"),
        (10**6, flash - 1, "the weights alone need" if found is None else "constants and code need"),
    ):
        sizes = "".join(
            f'\n[{name}]\nvalue = {size}\nsource = "a data sheet"\n'
            for name, size in (("ram_bytes", ram), ("flash_bytes", room))
        )
        (tmp_path / "tiny.toml").write_text(m4 + sizes, encoding="utf-8")
        done = run("compile", str(model), "--target", str(tmp_path / "tiny.toml"))
        assert done.exit_code == 2 and words in done.stderr and "Traceback" not in done.stderr
        assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize("failing", ["of_printed", "parity"])
def test_a_step_that_fails_leaves_nothing_and_waits_for_what_runs_beside_it(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    from edgedistill import compiler
    from edgedistill.runners import c_here

    ended = []

    def slow(folder: Path, x: np.ndarray) -> tuple[np.ndarray, str]:
        time.sleep(0.5)
        ended.append((folder / "edgedistill_net.c").exists())
        raise GateError("the C program ended with 1")

    def fail(*given: Any) -> None:
        raise GateError("it cannot be done")

    monkeypatch.setattr(c_here, "reason_not_runnable", lambda: None)
    monkeypatch.setattr(c_here, "run", slow)
    monkeypatch.setattr(compiler, "of_printed", fail)
    monkeypatch.setattr(compiler, "parity", fail if failing == "parity" else lambda *given: ())
    done = run("compile", str(model), "--target", "cortex-m4")
    assert done.exit_code == 1 and "it cannot be done" in done.stderr
    assert ended == [True], "the files lay there until the compiler ended"
    assert not list((tmp_path / "out").iterdir())


def test_inexact_operators_are_named_with_their_bound(run: Run, tmp_path: Path) -> None:
    printer.write(inexact(), META, tmp_path / "inexact.tflite")
    done = run("compile", str(tmp_path / "inexact.tflite"))
    assert done.exit_code == 0
    assert "1 of 2 operators are exact by construction" in done.stdout
    assert "add_1: no odd denominator: off by 1 in one of 10**5 values" in done.stdout


@pytest.mark.parametrize(("exact", "code"), [(True, 1), (False, 0)])
def test_a_runtime_that_differs_breaks_the_gate_only_where_all_is_exact(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exact: bool, code: int
) -> None:
    from edgedistill import compiler

    row = Parity(runtime="litert 9", artifact="student.tflite", values=100, identical=99, max_lsb=1)
    monkeypatch.setattr(compiler, "parity", lambda *given: (row,))
    if not exact:
        printer.write(inexact(), META, model)
    done = run("compile", str(model))
    assert done.exit_code == code
    assert "litert 9 differs" in done.stderr and "1 of 100 values" in done.stderr
    assert (tmp_path / "out/net/record.json").exists()


def any_height(model: Any, schema: Any) -> None:
    model.subgraphs[0].tensors[0].shapeSignature = np.array([1, -1, 16, 3], np.int32)


def test_bad_input_is_told_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    printer.write(small_float_graph(1), META, tmp_path / "float.tflite")
    (tmp_path / "cut.tflite").write_bytes(printer.to_bytes(small_integer_graph(1), META)[:999])
    (tmp_path / "dynamic.tflite").write_bytes(changed(any_height))
    (tmp_path / "model.h5").write_bytes(b"x")
    before = {p.name for p in tmp_path.iterdir()}
    for name, words in (
        ("float.tflite", "this is a float32 network"),
        ("cut.tflite", "damaged"),
        ("dynamic.tflite", "dynamic shape"),
        ("model.h5", "not read from .h5 files"),
        ("none.tflite", "No such file"),
    ):
        done = run("compile", name)
        assert done.exit_code == 2 and words in done.stderr and name in done.stderr
    assert {p.name for p in tmp_path.iterdir()} == before


def test_a_folder_of_somebody_else_is_not_replaced(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("words")
    done = run("compile", str(model), "--out", "mine")
    assert done.exit_code == 2 and "not the result of a build" in done.stderr
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
