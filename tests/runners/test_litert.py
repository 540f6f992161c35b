"""The LiteRT runner shows every layer, any batch, and answers bad input with an error that helps."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedistill.errors import InputError
from edgedistill.export.metadata import Metadata
from edgedistill.export.tflite import to_bytes
from edgedistill.runners import RUNNERS
from edgedistill.runners.litert import LiteRt
from tests.graphs import random_input, small_float_graph, small_integer_graph

GRAPH = small_integer_graph(0)
MODEL = to_bytes(GRAPH, Metadata("small", "a test", GRAPH.labels, 1 / 64, 0, "1"))


def test_the_table_of_runtimes_names_this_class() -> None:
    assert RUNNERS["litert"].load() is LiteRt


def test_from_a_file_or_from_memory(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(MODEL)
    x = random_input(GRAPH, 2)
    assert np.array_equal(LiteRt(path).run(x), LiteRt(MODEL).run(x))


def test_batches_of_changing_size() -> None:
    runner = LiteRt(MODEL)
    x = random_input(GRAPH, 5)
    whole = runner.run(x)
    assert whole.shape == (5, 10) and whole.dtype == np.int8
    assert np.array_equal(runner.run(x[:2]), whole[:2])
    assert np.array_equal(runner.run(x), whole)


def test_an_answer_survives_the_next_run() -> None:
    runner = LiteRt(MODEL)
    x = random_input(GRAPH, 1, seed=1)
    first = runner.run(x)
    kept = first.copy()
    runner.run(random_input(GRAPH, 1, seed=2))
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("reference", [False, True])
def test_every_layer_is_shown_and_the_last_is_the_answer(reference: bool) -> None:
    runner = LiteRt(MODEL, reference=reference)
    x = random_input(GRAPH, 3)
    layers = runner.run_all(x)
    assert set(GRAPH.activations()) <= set(layers)
    assert np.array_equal(layers[GRAPH.inputs[0]], x)
    assert np.array_equal(layers[GRAPH.outputs[0]], runner.run(x))
    assert all(layers[name].shape == (3, *GRAPH.tensors[name].shape[1:]) for name in GRAPH.activations())


def test_the_two_families_are_two_sets_of_kernels() -> None:
    """They round differently, so over enough values some differ, by one."""
    x = random_input(GRAPH, 32)
    name = GRAPH.ops[0].outputs[0]
    fast, slow = LiteRt(MODEL), LiteRt(MODEL, reference=True)
    difference = np.abs(fast.run_all(x)[name].astype(int) - slow.run_all(x)[name].astype(int))
    assert difference.max() == 1
    assert (fast.name, slow.name) == (f"litert-xnnpack {fast.version}", f"litert-reference {fast.version}")


def test_float_models() -> None:
    graph = small_float_graph(0)
    runner = LiteRt(to_bytes(graph, Metadata("small", "a test", (), 1 / 64, 0, "1")))
    assert runner.run(random_input(graph, 2)).dtype == np.float32


def test_latency_is_one_positive_time_a_run() -> None:
    times_ms = LiteRt(MODEL).latency_ms(random_input(GRAPH, 1), runs=7, warmup=2)
    assert times_ms.shape == (7,) and times_ms.dtype == np.float64
    assert (times_ms > 0).all() and times_ms.max() < 10_000


@pytest.mark.parametrize("wrong", [random_input(GRAPH, 1).astype(np.uint8), random_input(GRAPH, 1)[:, :8]])
def test_a_wrong_input_says_what_is_right(wrong: Any) -> None:
    with pytest.raises(InputError, match=r"give int8 \[N, 16, 16, 3\]") as caught:
        LiteRt(MODEL).run(wrong)
    assert str(list(wrong.shape)) in caught.value.what


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the model: No such file") as caught:
        LiteRt(tmp_path / "none.tflite")
    assert caught.value.where == str(tmp_path / "none.tflite")


@pytest.mark.parametrize("data", [b"", b"not a model at all", b"\x89PNG\r\n\x1a\n" + bytes(64)])
def test_another_kind_of_file(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"this is not a \.tflite file"):
        LiteRt(path)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.7])
def test_a_truncated_file(share: float) -> None:
    with pytest.raises(InputError, match="cannot load the model"):
        LiteRt(MODEL[: int(len(MODEL) * share)])


def test_no_runtime_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(InputError, match=r"no LiteRT runtime is installed[\s\S]*pip install ai-edge-litert"):
        LiteRt(MODEL)
