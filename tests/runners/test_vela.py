"""Vela's summary and warnings are read as it writes them, and it agrees with what it said before."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgedistill import target
from edgedistill.errors import GateError, InputError
from edgedistill.export import ethos_u, tflite
from edgedistill.export.metadata import Metadata
from edgedistill.ir.graph import Graph
from edgedistill.ir.ops import DepthwiseConv2D
from edgedistill.runners import vela
from tests.graphs import integer_cases, small_integer_graph

U55 = target.load("corstone-300-ethos-u55-128")
U65 = target.load("corstone-300-ethos-u65-256")
META = Metadata("a student", "", (), 1.0, 0, "0")
REASON = vela.reason_not_runnable()
needs_vela = pytest.mark.skipif(REASON is not None, reason=REASON or "")

COLUMNS = {
    "core_clock": "500000000.0",
    "cycles_total": "201747",
    "sram_memory_used": "50.625",
    "dram_memory_used": "0.0",
    "on_chip_flash_memory_used": "1.0",
    "off_chip_flash_memory_used": "77.390625",
    "nn_macs": "12505748",
}
SAID = """\
Warning (supported operators) operator: DEPTHWISE_CONV_2D, ofm: '{name}_act'
Reason: Unsupported kernel stride: 8, 8
Kernel stride must be in the range (1,3).

CPU operators = 1 (4.8%)
NPU operators = 20 (95.2%)
"""


def printed(graph: Graph) -> bytes:
    return tflite.to_bytes(graph, META)


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """A program called vela, found on the path alone."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "vela"
    program.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo 5.2.0; exit; fi\n{body}')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))


def answering(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: bytes, csv: bytes, said: str
) -> tuple[Path, Path]:
    """A stand-in that writes these files and says this; its own file, and where its arguments go."""
    (tmp_path / "compiled").write_bytes(compiled)
    (tmp_path / "csv").write_bytes(csv)
    (tmp_path / "said").write_text(said)
    stand_in(
        tmp_path,
        monkeypatch,
        f'echo "$@" > {tmp_path}/arguments; mkdir out; cp {tmp_path}/compiled out/student_vela.tflite\n'
        f"cp {tmp_path}/csv out/student_summary_X.csv; cat {tmp_path}/said\n",
    )
    return tmp_path / "compiled", tmp_path / "arguments"


def summary(**changed: str) -> bytes:
    columns = {**COLUMNS, **changed}
    return "\n".join((",".join(columns), ",".join(columns.values()))).encode()


def test_summary_file_and_warnings_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = integer_cases(0)["average_8x8"]
    (output,) = graph.outputs
    said = SAID.format(name=output)
    compiled, arguments = answering(tmp_path, monkeypatch, printed(graph), summary(), said)
    found = vela.estimate(b"anything", U65)
    assert found.version == "vela 5.2.0" and found.cycles == 201_747 and found.macs == 12_505_748
    assert found.latency_ms == pytest.approx(0.403494)
    assert found.sram_bytes == 51_840 and found.flash_bytes == 1024 + 79_248 and found.dram_bytes == 0
    assert found.on_npu == 20 and found.tflite == compiled.read_bytes()
    (left,) = found.on_cpu
    reason = "Unsupported kernel stride: 8, 8 Kernel stride must be in the range (1,3)."
    assert str(left) == f"DEPTHWISE_CONV_2D {output!r} ({reason})"
    given = arguments.read_text().split()
    assert "--accelerator-config=ethos-u65-256" in given and "--config=Arm/vela.ini" in given
    assert "--system-config=Ethos_U65_Mid_End" in given and "--memory-mode=Dedicated_Sram_384KB" in given


@pytest.mark.parametrize(
    ("last", "kind", "message"),
    [
        (
            "x.errors.CliOptionError: Section Nope not found",
            InputError,
            "does not know this accelerator.*Nope",
        ),
        ("RuntimeError: Compilation failed", GateError, "does not take this network: RuntimeError: Comp"),
    ],
)
def test_a_refusal_says_whose_mistake_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str, kind: type[Exception], message: str
) -> None:
    stand_in(tmp_path, monkeypatch, f"echo 'Traceback' >&2; echo '{last}' >&2; exit 1\n")
    with pytest.raises(kind, match=message):
        vela.estimate(b"anything", U55)


def test_without_its_files_it_is_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "mkdir out\n")
    with pytest.raises(GateError, match=r"ended without a file \*_summary_\*.csv"):
        vela.estimate(b"anything", U55)


@pytest.mark.parametrize(
    ("csv", "said", "message"),
    [
        (b"", SAID, "summary cannot be read: 'core_clock'"),
        (",".join(COLUMNS).encode(), SAID, "summary cannot be read: 'core_clock'"),
        (summary(cycles_total=""), SAID, "summary cannot be read: could not convert"),
        (summary()[:-30], SAID, "summary cannot be read: float"),
        (b"\xff" + summary(), SAID, "summary cannot be read: 'utf-8'"),
        (summary(cycles_total="nan"), SAID, "figures that cannot be"),
        (summary(nn_macs="inf"), SAID, "figures that cannot be"),
        (summary(sram_memory_used="-1"), SAID, "figures that cannot be"),
        (summary(core_clock="0.0"), SAID, "figures that cannot be"),
        (summary(), "done", "does not say how many operators run on the accelerator"),
    ],
)
def test_figures_that_are_none_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, csv: bytes, said: str, message: str
) -> None:
    compiled = printed(integer_cases(0)["average_8x8"])
    answering(tmp_path, monkeypatch, compiled, csv, said.format(name="y") if said is SAID else said)
    with pytest.raises(GateError, match=message):
        vela.estimate(b"anything", U55)


def test_what_is_not_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert "pip install 'edgedistill[npu]'" in (vela.reason_not_runnable() or "")
    with pytest.raises(InputError, match="Vela is not installed"):
        vela.estimate(b"anything", U55)


@needs_vela
def test_a_student_runs_on_the_accelerator_but_for_its_tables() -> None:
    graph = small_integer_graph(3)
    found = vela.estimate(ethos_u.to_bytes(graph, META), U55)
    assert found.cycles > 0 and found.sram_bytes > 0
    assert {one.kind for one in found.on_cpu} <= {"CAST", "GATHER", "ADD"}
    strided = vela.estimate(printed(graph), U55)
    assert len(strided.on_cpu) >= len(found.on_cpu)


@needs_vela
def test_what_only_the_stride_kept_away_runs_on_the_accelerator() -> None:
    graph = integer_cases(0)["average_8x8"]
    (op,) = graph.ops
    assert isinstance(op.attrs, DepthwiseConv2D)
    graph = graph.replace(
        ops=(replace(op, attrs=replace(op.attrs, stride=(8, 8))),)
    )  # as torch's mean is traced
    (left,) = vela.estimate(printed(graph), U55).on_cpu
    assert left.kind == "DEPTHWISE_CONV_2D" and "stride" in left.reason
    assert vela.estimate(ethos_u.to_bytes(graph, META), U55).on_cpu == ()


@needs_vela
def test_weights_change_little() -> None:
    graph = integer_cases(0)["conv_same"]
    weights = graph.tensors[graph.ops[0].inputs[1]]
    assert weights.data is not None
    zeros = graph.with_tensors(replace(weights, data=np.zeros_like(weights.data)))
    one, other = (vela.estimate(printed(g), U55) for g in (graph, zeros))
    assert one.sram_bytes == other.sram_bytes and one.macs == other.macs == 8 * 8 * 7 * 9 * 5


@needs_vela
@pytest.mark.real_data
@pytest.mark.parametrize(
    ("model", "cycles"),
    [
        ("pretrainedResnet_quant", 201_747),
        ("kws_ref_model", 89_900),
        ("vww_96_int8", 220_870),
        ("ad01_int8", 201_184),
    ],
)
def test_mlperf_tiny(real_data: Path, model: str, cycles: int) -> None:
    """Figures of Vela 5.2.0; another version may schedule otherwise."""
    found = vela.estimate((real_data / "mlperf_tiny" / f"{model}.tflite").read_bytes(), U55)
    if found.version != "vela 5.2.0":
        pytest.skip(f"the figures are of vela 5.2.0, this is {found.version}")
    assert found.cycles == cycles and found.on_cpu == ()
    kept = json.loads((Path(__file__).parents[2] / "benchmarks/results/ethos-u.json").read_text())
    rows = [r for r in kept["rows"] if r["model"] == model and r["target"] == U55.name]
    assert [row["cycles"] for row in rows if row["form"] == "as it is"] == [cycles]
