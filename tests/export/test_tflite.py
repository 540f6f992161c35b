"""The printed .tflite computes every value of every layer as the interpreter does, and says what it is."""

from __future__ import annotations

import importlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgedistill.errors import InputError, OutputError
from edgedistill.export import tflite, tflite_flatbuffer
from edgedistill.export.metadata import Metadata
from edgedistill.export.tflite_metadata import normalization
from edgedistill.export.tflite_printer import same_pads
from edgedistill.ir.graph import Graph, Op
from edgedistill.ir.interpret import run
from edgedistill.ir.numerics import requantise_once
from edgedistill.ir.ops import FullyConnected
from edgedistill.runners.litert import LiteRt
from tests.graphs import (
    FUNCTIONS,
    Builder,
    integer_cases,
    random_input,
    small_float_graph,
    small_integer_graph,
)

META = Metadata(
    name="flowers",
    description="Tells flowers apart.",
    labels=("rose", "ox-eye daisy", "Gänseblümchen"),
    input_scale=1 / 64,
    input_zero_point=-3,
    version="1.2.0",
    provenance={"recipe": "0123", "licence": "Apache-2.0"},
)


def schema_model(data: bytes) -> Any:
    return tflite_flatbuffer.load_schema().ModelT.InitFromPackedBuf(data, 0)


def operators(data: bytes) -> list[tuple[str, int]]:
    """(builtin operator, version) in the file's order."""
    schema = tflite_flatbuffer.load_schema()
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if k.isupper()}
    model = schema_model(data)
    codes = [(names[c.builtinCode], c.version) for c in model.operatorCodes]
    return [codes[op.opcodeIndex] for op in model.subgraphs[0].operators]


def assert_every_value_equal(
    graph: Graph, data: bytes, batch: int, reference: bool, threads: int = 1
) -> None:
    x = random_input(graph, batch, seed=batch)
    expected = run(graph, {graph.inputs[0]: x}, family="D" if reference else "F", keep=True)
    found = LiteRt(data, reference=reference, threads=threads).run_all(x)
    for op in graph.ops:
        if reference and isinstance(op.attrs, FullyConnected):
            expected[op.outputs[0]] = rounded_once(graph, op, found[op.inputs[0]])
    for name in graph.activations():
        assert found[name].dtype == np.int8
        difference = np.abs(found[name].astype(int) - expected[name].astype(int))
        assert difference.max() == 0, f"{name}: {np.count_nonzero(difference)} of {difference.size} differ"


def rounded_once(graph: Graph, op: Op, x: NDArray[np.int8]) -> NDArray[np.int8]:
    """FULLY_CONNECTED as LiteRT computes it without XNNPACK: D's multiplier, but one rounding, half up.

    LiteRT has no reference kernel for per-channel weights, ruy multiplies; TFLite Micro rounds twice.
    """
    t_x, t_w, t_b, t_y = (graph.tensors[name] for name in (*op.inputs, *op.outputs))
    assert t_x.quant and t_w.quant and t_y.quant and t_w.data is not None and t_b.data is not None
    acc = (x.astype(np.int64) - t_x.quant.zero_point) @ t_w.data.T.astype(np.int64) + t_b.data
    s_w = t_w.quant.scale
    return requantise_once(acc, t_x.quant.scale[0], s_w, t_y.quant.scale[0], t_y.quant.zero_point)


@pytest.mark.parametrize("reference", [False, True], ids=["F", "D"])
@pytest.mark.parametrize("case", sorted(integer_cases(0)))
def test_each_operator_is_exact(case: str, reference: bool) -> None:
    for seed in (1, 2):
        graph = integer_cases(seed)[case]
        assert_every_value_equal(graph, tflite.to_bytes(graph, META), 64, reference)


@pytest.mark.parametrize("reference", [False, True], ids=["F", "D"])
def test_a_whole_network_is_exact(reference: bool) -> None:
    for seed in range(3):
        graph = small_integer_graph(seed)
        assert_every_value_equal(graph, tflite.to_bytes(graph, META), 16, reference)


@pytest.mark.parametrize("case", [*sorted(integer_cases(0)), "whole network"])
def test_tflite_micro_reads_the_file_and_is_family_d(case: str) -> None:
    micro = pytest.importorskip(
        "tflite_micro.python.tflite_micro.runtime", reason="tflite-micro is not installed"
    )
    graph = integer_cases(1)[case] if case != "whole network" else small_integer_graph(0)
    interpreter = micro.Interpreter.from_bytes(tflite.to_bytes(graph, META))
    x = random_input(graph, 16)
    expected = run(graph, {graph.inputs[0]: x}, family="D")[graph.outputs[0]]
    for i in range(len(x)):
        interpreter.set_input(x[i : i + 1], 0)
        interpreter.invoke()
        assert np.array_equal(interpreter.get_output(0), expected[i : i + 1])


def test_batch_and_threads_change_no_bit() -> None:
    graph = small_integer_graph(5)
    data = tflite.to_bytes(graph, META)
    x = random_input(graph, 6)
    all_at_once = LiteRt(data, threads=2).run(x)
    one = LiteRt(data)
    assert np.array_equal(all_at_once, np.concatenate([one.run(x[i : i + 1]) for i in range(6)]))


def test_the_float_form_agrees_with_the_interpreter() -> None:
    graph = small_float_graph(0)
    x = random_input(graph, 4)
    expected = run(graph, {graph.inputs[0]: x}, keep=True)
    found = LiteRt(tflite.to_bytes(graph, META)).run_all(x)
    for name in graph.activations():
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-5, atol=2e-5, err_msg=name)


@pytest.mark.parametrize(("fn", "alpha"), [*((f, 0.1) for f in FUNCTIONS), ("elu", 1.0)])
def test_float_functions(fn: str, alpha: float) -> None:
    net = Builder(fn, 0, integer=False)
    net.table(net.input((1, 4, 4, 32)), fn, 1.0, 0, alpha)
    graph = net.graph()
    x = random_input(graph, 2) * np.float32(3)
    found = LiteRt(tflite.to_bytes(graph, META)).run(x)
    np.testing.assert_allclose(
        found, FUNCTIONS[fn](x.astype(np.float64).ravel(), alpha).reshape(x.shape), atol=2e-6
    )


def test_padding_is_same_only_where_tflite_pads_alike() -> None:
    cases = integer_cases(0)

    def kinds(case: str) -> list[str]:
        return [kind for kind, _ in operators(tflite.to_bytes(cases[case], META))]

    assert kinds("conv_same") == ["CONV_2D"]
    assert kinds("conv_stride2_odd") == ["CONV_2D"]
    assert kinds("conv_stride2_even") == ["PAD", "CONV_2D"]
    assert kinds("depthwise_stride2_even") == ["PAD", "DEPTHWISE_CONV_2D"]
    assert kinds("max_pool_padded") == ["PADV2", "MAX_POOL_2D"]


@settings(max_examples=200, deadline=None)
@given(size=st.integers(1, 64), kernel=st.integers(1, 7), stride=st.integers(1, 4))
def test_same_pads_give_the_ceiling_of_the_size(size: int, kernel: int, stride: int) -> None:
    before, after = same_pads(size, kernel, stride)
    assert after - before in (0, 1)
    if kernel >= stride:
        assert (size + before + after - kernel) // stride + 1 == -(-size // stride)


def test_two_readers_of_one_padded_tensor_share_the_pad() -> None:
    net = Builder("twice", 0)
    image = net.input((1, 8, 8, 4))
    a, b = net.conv(image, 4, stride=(2, 2), scale=0.02), net.depthwise(image, stride=(2, 2), scale=0.02)
    net.add(a, b, 1, 1)
    assert [k for k, _ in operators(tflite.to_bytes(net.graph(), META))].count("PAD") == 1


def test_operator_versions_are_the_lowest_that_fit() -> None:
    found = set(operators(tflite.to_bytes(small_integer_graph(0), META)))
    assert found == {
        ("CONV_2D", 3),
        ("DEPTHWISE_CONV_2D", 3),
        ("FULLY_CONNECTED", 4),
        ("ADD", 2),
        ("ADD", 1),  # int32, inside the tables
        ("MUL", 2),
        ("MAX_POOL_2D", 2),
        ("CONCATENATION", 2),
        ("RESHAPE", 1),
        ("CAST", 1),
        ("GATHER", 2),
        ("PAD", 2),
    }
    floats = operators(tflite.to_bytes(small_float_graph(0), META))
    assert {version for _, version in floats} == {1}


def test_a_multiplier_of_one_needs_a_newer_mul() -> None:
    net = Builder("coarse", 0)
    image = net.input((1, 4, 4, 4), scale=1.0)
    net.mul(image, image, 1, 3)
    assert operators(tflite.to_bytes(net.graph(), META)) == [("MUL", 3)]


@pytest.mark.parametrize("reference", [False, True])
def test_other_types_outside_leave_the_network_as_it_is(reference: bool) -> None:
    graph = small_integer_graph(1)
    x = random_input(graph, 8)
    inside = LiteRt(tflite.to_bytes(graph, META), reference=reference).run_all(x)
    answer = inside[graph.outputs[0]]
    scale_in, out = META.input_scale, graph.tensors[graph.outputs[0]].quant
    assert out is not None

    def flip(v: Any) -> Any:
        return (v.astype(np.int16) + 128).astype(np.uint8)

    unsigned = LiteRt(tflite.to_bytes(graph, META, io="uint8"), reference=reference)
    assert np.array_equal(unsigned.run(flip(x)), flip(answer))
    floating = LiteRt(tflite.to_bytes(graph, META, io="float32"), reference=reference)
    real = x.astype(np.float32) * np.float32(scale_in)
    expected = (answer.astype(np.int32) - out.zero_point).astype(np.float32) * out.scale[0]
    np.testing.assert_allclose(floating.run(real), expected, rtol=1e-6)
    layers = floating.run_all(real)
    assert all(np.array_equal(layers[name], inside[name]) for name in graph.activations())


def test_weights_and_names_are_kept() -> None:
    graph = small_integer_graph(0)
    model = schema_model(tflite.to_bytes(graph, META))
    by_name = {t.name.decode(): t for t in model.subgraphs[0].tensors}
    for name, tensor in graph.tensors.items():
        entry = by_name[name]
        assert list(entry.shape) == list(tensor.shape)
        assert tensor.quant is not None
        assert np.array_equal(entry.quantization.scale, tensor.quant.scale)
        assert set(entry.quantization.zeroPoint) == {tensor.quant.zero_point}
        if tensor.data is None:
            assert list(entry.shapeSignature) == [-1, *tensor.shape[1:]]
        else:
            raw = np.asarray(model.buffers[entry.buffer].data, np.uint8)
            assert raw.tobytes() == tensor.data.tobytes()
            assert entry.quantization.quantizedDimension == (tensor.quant.axis or 0)


def test_signature_and_alignment() -> None:
    graph = small_integer_graph(0)
    data = tflite.to_bytes(graph, META)
    (signature,) = schema_model(data).signatureDefs
    assert signature.signatureKey == b"serving_default"
    assert [m.name.decode() for m in signature.inputs] == list(graph.inputs)
    assert [m.name.decode() for m in signature.outputs] == list(graph.outputs)
    for tensor in graph.tensors.values():
        if tensor.data is not None and tensor.data.size > 64:
            assert data.find(tensor.data.tobytes()) % 16 == 0


def test_labels_are_a_stored_zip_behind_the_model(tmp_path: Path) -> None:
    path = tmp_path / "new" / "model.tflite"
    tflite.write(small_integer_graph(0), META, path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        (entry,) = archive.infolist()
        assert (entry.filename, entry.compress_type) == ("labels.txt", zipfile.ZIP_STORED)
        assert archive.read("labels.txt").decode().splitlines() == list(META.labels)
    assert LiteRt(path).run(random_input(small_integer_graph(0), 1)).shape == (1, 10)


def test_no_labels_no_zip() -> None:
    data = tflite.to_bytes(small_integer_graph(0), Metadata("n", "d", (), 1 / 64, 0, "1"))
    assert not zipfile.is_zipfile(io.BytesIO(data))


def test_equal_graphs_give_equal_bytes() -> None:
    assert tflite.to_bytes(small_integer_graph(3), META) == tflite.to_bytes(small_integer_graph(3), META)


def metadata_buffers(data: bytes) -> dict[str, bytes]:
    model = schema_model(data)
    return {
        m.name.decode(): bytes(np.asarray(model.buffers[m.buffer].data, np.uint8)) for m in model.metadata
    }


class Reader:
    """A table of any schema, read by field number: a second pair of eyes for what was written."""

    def __init__(self, data: bytes, position: int | None = None) -> None:
        from flatbuffers.table import Table

        self.data = data
        start = int.from_bytes(data[:4], "little") if position is None else position
        self.table = Table(bytearray(data), start)

    def _offset(self, slot: int) -> int:
        offset = int(self.table.Offset(4 + 2 * slot))
        assert offset, f"field {slot} is missing"
        return offset + int(self.table.Pos)

    def text(self, slot: int) -> str:
        return str(self.table.String(self._offset(slot)).decode())

    def child(self, slot: int) -> Reader:
        return Reader(self.data, self.table.Indirect(self._offset(slot)))

    def children(self, slot: int) -> list[Reader]:
        offset = self._offset(slot) - int(self.table.Pos)
        first, count = self.table.Vector(offset), self.table.VectorLen(offset)
        return [Reader(self.data, self.table.Indirect(first + 4 * i)) for i in range(count)]

    def floats(self, slot: int) -> list[float]:
        offset = self._offset(slot) - int(self.table.Pos)
        first, count = self.table.Vector(offset), self.table.VectorLen(offset)
        return [float(v) for v in np.frombuffer(self.data, "<f4", count, first)]

    def byte(self, slot: int) -> int:
        return self.data[self._offset(slot)]

    def uint32(self, slot: int) -> int:
        position = self._offset(slot)
        return int.from_bytes(self.data[position : position + 4], "little")


def test_android_metadata_says_how_to_feed_and_read_the_model() -> None:
    graph = small_integer_graph(0)
    buffer = metadata_buffers(tflite.to_bytes(graph, META))["TFLITE_METADATA"]
    assert buffer[4:8] == b"M001"
    model = Reader(buffer)
    assert [model.text(slot) for slot in (0, 1, 2, 5, 7)] == [
        "flowers",
        "Tells flowers apart.",
        "1.2.0",
        "Apache-2.0",
        "1.0.0",
    ]
    (subgraph,) = model.children(3)
    (image,), (scores,) = subgraph.children(2), subgraph.children(3)
    assert (image.text(0), scores.text(0)) == (graph.inputs[0], graph.outputs[0])
    content = image.child(3)
    assert content.byte(0) == 2  # ImageProperties
    properties = content.child(1)
    assert properties.byte(0) == 1  # RGB
    assert (properties.child(1).uint32(0), properties.child(1).uint32(1)) == (16, 16)
    (unit,) = image.children(4)
    assert unit.byte(0) == 1  # NormalizationOptions
    assert (unit.child(1).floats(0), unit.child(1).floats(1)) == ([125.0], [64.0])
    (labels,) = scores.children(6)
    assert (labels.text(0), labels.byte(2)) == ("labels.txt", 2)  # TENSOR_AXIS_LABELS


def test_provenance_is_json() -> None:
    value = json.loads(metadata_buffers(tflite.to_bytes(small_integer_graph(0), META))["edgedistill"])
    assert value["provenance"] == {"licence": "Apache-2.0", "recipe": "0123"}
    assert value["input_scale"] == 1 / 64


@given(pixel=st.integers(0, 255), zero_point=st.integers(-128, 127), scale=st.floats(1e-4, 1.0))
def test_normalization_is_the_dequantised_pixel(pixel: int, zero_point: int, scale: float) -> None:
    mean, std = normalization(Metadata("n", "d", (), scale, zero_point, "1"))
    assert (pixel - mean) / std == pytest.approx(scale * (pixel - 128 - zero_point))


def test_a_folder_in_the_way_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the TFLite file cannot be written") as caught:
        tflite.write(small_integer_graph(0), META, tmp_path)
    assert caught.value.where == str(tmp_path)


def test_a_missing_schema_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(InputError, match="pip install ai-edge-litert"):
        tflite_flatbuffer.load_schema()
