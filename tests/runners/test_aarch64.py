"""The C files, compiled for 64-bit Arm and emulated, are the network in every byte."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgedistill import target
from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.ir import interpret
from edgedistill.runners import RUNNERS, aarch64
from tests.graphs import random_input, small_integer_graph

REASON = aarch64.reason_not_runnable()


@pytest.mark.skipif(REASON is not None, reason=REASON or "")
@pytest.mark.parametrize("architecture", aarch64.ARCHITECTURES)
def test_it_answers_as_the_interpreter(architecture: str, tmp_path: Path) -> None:
    graph = small_integer_graph(8)
    c.write(graph, Metadata("edgedistill student", "", graph.labels, 1 / 64, 0, "0"), tmp_path)
    x = random_input(graph, 20)
    x[0], x[1] = -128, 127
    got, compiler = aarch64.run(tmp_path, x, architecture=architecture)
    expected = interpret.run_batched(graph, {graph.inputs[0]: x})[graph.outputs[0]]
    np.testing.assert_array_equal(got, expected.reshape(len(x), -1))
    assert compiler.startswith("aarch64-linux-gnu-gcc ") and compiler.split()[1][0].isdigit()


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("raspberry-pi-5", "armv8.2-a+dotprod"),
        ("raspberry-pi-4", "armv8-a"),
        ("android-arm64", "armv8-a"),
        ("cortex-m55", None),
        ("linux-x86_64", None),
    ],
)
def test_the_architecture_of_a_device(device: str, expected: str | None) -> None:
    assert aarch64.architecture(target.load(device)) == expected


@pytest.mark.parametrize("name", target.names())
def test_every_target_is_of_a_known_architecture_or_none(name: str) -> None:
    assert aarch64.architecture(target.load(name)) in (None, *aarch64.ARCHITECTURES)


def test_what_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == aarch64.QEMU else f"/usr/bin/{name}")
    assert aarch64.reason_not_runnable() == (
        "there is no qemu-aarch64-static here (Debian: apt-get install qemu-user-static)"
    )
    assert not RUNNERS["aarch64"].can_run_here
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "apt-get install gcc-aarch64-linux-gnu" in (aarch64.reason_not_runnable() or "")
