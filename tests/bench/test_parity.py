"""Every runtime is compared value by value, and every way a folder can be broken is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgedistill.bench.files import check_digests, sha256_of
from edgedistill.bench.parity import compare, layerwise, parity, verify_dir
from edgedistill.errors import GateError, InputError, ParityError
from edgedistill.export import onnx
from edgedistill.export.metadata import Metadata
from edgedistill.ir.graph import Graph
from tests.graphs import random_input


def test_compare_counts_values_steps_and_answers() -> None:
    expected = np.array([[1, 5, 3], [9, 2, 2]], np.int8)
    assert compare(expected, expected) == (6, 6, 0, 0)
    got = np.array([[1, 3, 4], [9, 2, 2]], np.int8)
    assert compare(expected, got) == (4, 6, 2, 1)
    far = np.array([[-128]], np.int8)
    assert compare(far, np.array([[127]], np.int8)) == (0, 1, 255, 0)
    with pytest.raises(ParityError, match=r"answered float32 \[2, 3\] where the interpreter answers int8"):
        compare(expected, expected.astype(np.float32))


def test_all_runtimes_are_identical(graph: Graph, pristine: Path) -> None:
    x = random_input(graph, 300)  # more than one batch
    rows = parity(graph, pristine, x)
    exact = [row for row in rows if row.family == "F"]
    assert {row.runtime.split()[0] for row in exact} == {"litert-xnnpack", "onnxruntime"}
    assert all(row.identical == row.values == 3000 for row in exact), rows
    assert all(row.how == "measured" and row.max_lsb == 0 and row.top1_flips == 0 for row in exact)
    (reference,) = (row for row in rows if row.family == "D")
    assert reference.runtime.startswith("litert-reference") and reference.values == 3000
    assert reference.identical == 3000, reference


def test_the_qdq_form_is_also_compared_under_default_options(
    graph: Graph, pristine: Path, tmp_path: Path
) -> None:
    meta = Metadata("small", "a test network", graph.labels, 1 / 64, 0, "0")
    onnx.write(graph, meta, tmp_path / "student.onnx", form="qdq")
    allowed, defaults = parity(graph, tmp_path, random_input(graph, 20))
    assert "session.qdqisint8allowed=1" in allowed.note and allowed.identical == allowed.values == 200
    assert "default options" in defaults.note and defaults.values == 200
    assert allowed.promised and not defaults.promised and not defaults.broken


def test_layerwise_names_the_first_tensor_that_differs(graph: Graph, pristine: Path) -> None:
    x = random_input(graph, 4)
    assert layerwise(graph, pristine, x) is None
    op = next(op for op in graph.ops if op.kind == "CONV_2D" and op is not graph.ops[0])
    bias = graph.tensors[op.inputs[2]]
    assert bias.data is not None
    altered = graph.with_tensors(replace(bias, data=bias.data + np.int32(4000)))
    found = layerwise(altered, pristine, x)
    assert found is not None and found.tensor == op.outputs[0]
    assert 0 < found.differing <= found.values and found.max_lsb > 0
    assert repr(op.outputs[0]) in str(found)


def test_verify_proves_a_folder_and_a_file(built: Path) -> None:
    rows = verify_dir(built)
    assert {(row.artifact, row.family) for row in rows} == {
        ("student.tflite", "F"),
        ("student.tflite", "D"),
        ("student.onnx", "F"),
    }
    assert all(row.identical == row.values == 80 for row in rows if row.family == "F")
    (row,) = verify_dir(built / "student.onnx")
    assert row.artifact == "student.onnx" and row.identical == 80


def test_verify_without_a_record_still_compares(built: Path) -> None:
    (built / "record.json").unlink()
    (built / "graph.npz").unlink()
    assert len(verify_dir(built)) == 2


def test_an_altered_model_fails(built: Path) -> None:
    model = built / "student.tflite"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    with pytest.raises(GateError, match=r"student\.tflite is not the file that was built"):
        verify_dir(built)
    with pytest.raises(GateError, match="is not the file that was built"):
        verify_dir(model)


def test_altered_golden_vectors_fail(built: Path) -> None:
    (built / "golden.npz").write_bytes(b"")
    with pytest.raises(GateError, match=r"golden\.npz is not the file that was built"):
        verify_dir(built)


@pytest.mark.parametrize("name", ["student.tflite", "student.onnx"])
def test_a_cut_off_model_is_refused_without_a_record(built: Path, name: str) -> None:
    (built / "record.json").unlink()
    model = built / name
    model.write_bytes(model.read_bytes()[: model.stat().st_size // 3])
    with pytest.raises(GateError, match=r"refuses the file|cannot run this file"):
        verify_dir(model)


def test_corrupt_golden_vectors_without_a_record(built: Path) -> None:
    (built / "record.json").unlink()
    (built / "golden.npz").write_bytes(b"not a zip")
    with pytest.raises(InputError):
        verify_dir(built)


def test_missing_things_are_named(built: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        verify_dir(tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="no model in this folder"):
        verify_dir(empty)
    with pytest.raises(InputError, match=r"no runtime takes \.json files"):
        verify_dir(built / "record.json")
    (built / "student.onnx").unlink()
    with pytest.raises(InputError, match=r"student\.onnx is missing"):
        verify_dir(built)
    (built / "golden.npz").unlink()
    with pytest.raises(InputError, match=r"there is no golden\.npz"):
        verify_dir(built)


def test_float32_alone_cannot_be_verified(built: Path) -> None:
    with pytest.raises(InputError, match="no int8 model to verify"):
        verify_dir(built / "student-float32.onnx")


def test_a_record_cannot_point_outside(built: Path) -> None:
    record = json.loads((built / "record.json").read_text())
    record["artifacts"][0]["path"] = "../secret"
    (built / "record.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="outside its folder"):
        check_digests(built)
    (built / "record.json").write_text("{")
    with pytest.raises(InputError, match="the record cannot be read"):
        check_digests(built)


def test_a_folder_has_a_digest(tmp_path: Path) -> None:
    package = tmp_path / "x.mlpackage"
    (package / "Data").mkdir(parents=True)
    (package / "Data" / "a").write_bytes(b"1")
    first = sha256_of(package)
    (package / "Data" / "a").rename(package / "Data" / "b")
    assert sha256_of(package) != first


def test_a_difference_is_traced_to_its_tensor(graph: Graph, pristine: Path) -> None:
    op = next(op for op in graph.ops if op.kind == "CONV_2D" and op is not graph.ops[0])
    bias = graph.tensors[op.inputs[2]]
    assert bias.data is not None
    altered = graph.with_tensors(replace(bias, data=bias.data + np.int32(4000)))
    rows = [row for row in parity(altered, pristine, random_input(graph, 20)) if row.family == "F"]
    assert all(row.identical < row.values and row.max_lsb > 0 for row in rows)
    assert all(f"differs first at {op.outputs[0]}" in row.note for row in rows)
