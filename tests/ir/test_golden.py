"""Golden vectors survive the file, notice any change, and refuse what is not theirs."""

import zlib
from pathlib import Path

import numpy as np
import pytest

from edgedistill.errors import InputError, OutputError
from edgedistill.ir.golden import Golden, checksum, golden, load, save
from edgedistill.ir.interpret import run
from tests.graphs import random_input, small_float_graph, small_integer_graph


@pytest.fixture
def vectors() -> Golden:
    graph = small_integer_graph(0)
    return golden(graph, random_input(graph, 5))


def test_golden_is_what_the_interpreter_answers(vectors: Golden) -> None:
    graph = small_integer_graph(0)
    every = run(graph, {"image": vectors.inputs}, keep=True)
    np.testing.assert_array_equal(vectors.outputs, every[graph.outputs[0]])
    assert tuple(vectors.checksums) == graph.activations()
    for name, value in every.items():
        assert vectors.checksums[name] == zlib.crc32(value.tobytes())


def test_one_changed_value_changes_its_checksum() -> None:
    values = np.zeros((2, 3), np.int8)
    other = values.copy()
    other[1, 2] = 1
    assert checksum(values) != checksum(other)
    assert checksum(np.zeros((4, 6), np.int8)[::2, ::2]) == checksum(values)  # a view, by value


def test_families_have_their_own_vectors() -> None:
    graph = small_integer_graph(0)
    x = random_input(graph, 64)
    f, d = golden(graph, x), golden(graph, x, "D")
    assert f.checksums["image"] == d.checksums["image"] and f.checksums != d.checksums


def test_the_file_keeps_everything(vectors: Golden, tmp_path: Path) -> None:
    save(vectors, tmp_path / "golden.npz")
    back = load(tmp_path / "golden.npz")
    np.testing.assert_array_equal(back.inputs, vectors.inputs)
    np.testing.assert_array_equal(back.outputs, vectors.outputs)
    assert dict(back.checksums) == dict(vectors.checksums)
    save(back, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "golden.npz").read_bytes()


def test_a_float_graph_has_no_golden_vectors() -> None:
    graph = small_float_graph(0)
    with pytest.raises(AssertionError, match="integer graph"):
        golden(graph, np.zeros((1, 16, 16, 3), np.int8))


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not golden vectors.*\n.*nothing\.npz\n.*golden\.npz of a build"):
        load(tmp_path / "nothing.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"plain text"])
def test_not_an_npz(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(InputError, match="not golden vectors"):
        load(tmp_path / "x.npz")


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", inputs=np.array([{}], object), outputs=1, layers=1, crc32=1)
    with pytest.raises(InputError, match="not golden vectors"):
        load(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"inputs": np.zeros((1, 2), np.float32)}, "inputs are float32"),
        ({"inputs": np.zeros((3, 2), np.int8)}, "3 inputs but 1 outputs"),
        ({"inputs": np.zeros((0, 2), np.int8), "outputs": np.zeros((0, 2), np.int8)}, "there is nothing in"),
        ({"outputs": np.zeros((1, 0), np.int8)}, "there is nothing in"),
        ({"crc32": np.zeros(2, np.uint32)}, "not golden vectors"),
        ({"crc32": np.uint32(1)}, "not golden vectors"),
    ],
)
def test_parts_that_do_not_fit(changes: dict[str, np.ndarray], text: str, tmp_path: Path) -> None:
    parts = {
        "inputs": np.zeros((1, 2), np.int8),
        "outputs": np.zeros((1, 2), np.int8),
        "layers": np.array(["x"]),
        "crc32": np.zeros(1, np.uint32),
    }
    np.savez(tmp_path / "x.npz", **{**parts, **changes})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=text):
        load(tmp_path / "x.npz")


def test_a_folder_that_is_missing(vectors: Golden, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        save(vectors, tmp_path / "missing" / "golden.npz")
