"""The command calibrate: where the model goes, what is refused before measuring, and what is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

from edgedistill import target
from edgedistill.ir import serial
from edgedistill.ir.graph import Graph
from edgedistill.sizing import calibrate, cost
from edgedistill.sizing.measure import MEASURERS, Measured
from edgedistill.target import Target
from tests.cli.conftest import Run
from tests.graphs import small_integer_graph


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every part of a kernel takes three instructions, and there is no overlay yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def measure(graphs: Sequence[Graph], device: Target) -> Iterator[tuple[Measured, ...]]:
        for graph in graphs:
            works = cost.works(graph, device, "c")
            assert works is not None
            yield (Measured(tuple(3.0 * sum(work.counts.values()) for work in works)),)

    row = replace(
        MEASURERS["emulator", "c"],
        measure=measure,
        why_not=lambda device: None if device.emulator is not None else "it has no emulator",
        software=lambda _: "gcc 1",
        machine=lambda _: "a machine",
    )
    monkeypatch.setattr(calibrate, "MEASURERS", {("emulator", "c"): row})


def test_an_overlay_of_a_shipped_target(run: Run, tmp_path: Path) -> None:
    done = run("calibrate", "--target", "cortex-m4", "--networks", "30")
    assert done.exit_code == 0, done.output
    assert "nine in ten within" in done.output and "cross-validated" in done.output
    path = tmp_path / "config" / "edgedistill" / "targets" / "cortex-m4.toml"
    assert path.is_file() and not list(path.parent.glob(".*"))
    assert target.load("cortex-m4").cost[0].machine == "a machine"
    shown = run("targets", "show", "cortex-m4")
    assert "in force: your own measurements" in shown.output and str(path) in shown.output
    assert "instructions with c, 30 networks on a machine" in shown.output
    assert "in force" not in run("targets", "show", "cortex-m55").output


def test_a_users_own_file_and_another_one(run: Run, tmp_path: Path) -> None:
    own = tmp_path / "my-board.toml"
    text = (resources.files("edgedistill.profiles") / "nucleo-l4r5zi.toml").read_text(encoding="utf-8")
    own.write_text(text)
    done = run("calibrate", "--target", str(own), "-n", "30", "--out", "other.toml", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["file"] == "other.toml" and said["cost"]["graphs"] == 30 and own.read_text() == text
    assert run("calibrate", "--target", str(own), "-n", "30", "--quiet").exit_code == 0
    assert own.read_text().startswith(text.rstrip("\n"))
    assert target.load(str(own)).cost[0].machine == "a machine"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--target", "cortex-m5"), "no target named 'cortex-m5'"),
        (("--target", "cortex-m4", "--on", "moon"), "no place named 'moon'"),
        (("--target", "cortex-m4", "--runtime", "corml"), "no runtime named 'corml'"),
        (("--target", "iphone-a15"), "where Xcode reports"),
        (("--target", "corstone-300-ethos-u55-128"), "an accelerator is modelled by Vela"),
        (("--target", "android-arm64", "--on", "emulator", "--runtime", "c"), "it has no emulator"),
        (("--target", "cortex-m4", "--networks", "5"), "5 networks are too few"),
    ],
)
def test_what_is_refused(run: Run, arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    done = run("calibrate", *arguments)
    assert done.exit_code == 2 and words in done.stderr and "Traceback" not in done.output
    assert not (tmp_path / "config").exists()


def test_ctrl_c_says_how_to_go_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(graphs: Sequence[Graph], device: Target) -> Iterator[tuple[Measured, ...]]:
        raise KeyboardInterrupt
        yield ()

    row = replace(calibrate.MEASURERS["emulator", "c"], measure=stopped)
    monkeypatch.setattr(calibrate, "MEASURERS", {("emulator", "c"): row})
    done = run("calibrate", "--target", "cortex-m4")
    assert done.exit_code == 130 and "run the same command again to resume" in done.stderr


def test_inspect_predicts_every_operator(run: Run, tmp_path: Path) -> None:
    graph = small_integer_graph(1)
    (tmp_path / "graph.npz").write_bytes(serial.to_bytes(graph))
    done = run("inspect", "graph.npz", "--target", "cortex-m4")
    assert done.exit_code == 0, done.output
    assert "predicted" in done.output and "depthwise" in done.output and "the call itself" in done.output
    said = json.loads(run("inspect", "graph.npz", "--target", "cortex-m4", "--json").stdout)["predicted"]
    assert sum(part["value"] for part in said["parts"]) == pytest.approx(said["whole"][0]["value"])
    assert "predicted" not in json.loads(run("inspect", "graph.npz", "--json").stdout)
    refused = run("inspect", "graph.npz", "--target", "esp32-s3")
    assert refused.exit_code == 2 and "has no cost model" in refused.stderr
