"""A .tflite read back is the graph that was printed; what cannot be read is refused in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgedistill.errors import InputError, UnsupportedOpError
from edgedistill.export import tflite as printer
from edgedistill.export.metadata import Metadata
from edgedistill.export.tflite_flatbuffer import FILE_IDENTIFIER, load_schema
from edgedistill.ir.graph import Graph
from edgedistill.ir.interpret import run
from edgedistill.read import read
from edgedistill.read.tflite import from_bytes
from tests.graphs import Builder, integer_cases, random_input, small_float_graph, small_integer_graph
from tests.read.same import assert_same

META = Metadata("small", "a test network", (), 1 / 64, 0, "0")
CASES = integer_cases(5)
SMALL = printer.to_bytes(small_integer_graph(1), META)


def labelled(graph: Graph) -> Metadata:
    return Metadata("small", "a test network", graph.labels, 1 / 64, 0, "0")


def changed(change: Callable[[Any, Any], None], data: bytes = SMALL) -> bytes:
    """The file with something else in it: ``change(model, schema)`` edits the schema's objects."""
    import flatbuffers

    schema = load_schema()
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    change(model, schema)
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def answer(graph: Graph, x: NDArray[Any]) -> NDArray[Any]:
    return run(graph, {"image": x})[graph.outputs[0]]


def forget(model: Any, schema: Any) -> None:
    """As a file of somebody else: without our remarks."""
    model.metadata = []


@pytest.mark.parametrize("name", CASES)
def test_what_was_printed_is_read_back(name: str) -> None:
    assert_same(from_bytes(printer.to_bytes(CASES[name], META), name).graph, CASES[name])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_whole_network_is_read_back(seed: int) -> None:
    graph = small_integer_graph(seed)
    loaded = from_bytes(printer.to_bytes(graph, labelled(graph)), "small")
    assert_same(loaded.graph, graph)
    assert loaded.notes == ()


@pytest.mark.parametrize("io", ["float32", "uint8"])
def test_a_border_of_another_type_is_taken_off(io: Any) -> None:
    graph = small_integer_graph(2)
    loaded = from_bytes(printer.to_bytes(graph, labelled(graph), io=io), "small")
    assert_same(loaded.graph, graph)
    assert len(loaded.notes) == 2 and all(io in note for note in loaded.notes)


def test_without_our_remarks_the_same_values_are_computed() -> None:
    graph = small_integer_graph(4)
    loaded = from_bytes(changed(forget, printer.to_bytes(graph, META)), "small").graph
    x = random_input(graph, 3)
    assert np.array_equal(
        run(loaded, {"image": x})[loaded.outputs[0]], run(graph, {"image": x})[graph.outputs[0]]
    )
    assert [op.kind for op in loaded.ops] == [op.kind for op in graph.ops]
    assert {"sigmoid", "gelu"} == {op.attrs.fn for op in loaded.ops if op.kind == "TABLE"}  # type: ignore[union-attr]
    pools = [op for op in graph.ops if getattr(op.attrs, "constant", False)]
    assert [op for op in loaded.ops if getattr(op.attrs, "constant", False)] == pools != []


def average_pool(model: Any, schema: Any) -> None:
    """The constant convolution becomes the operator that TFLite has for it."""
    graph = model.subgraphs[0]
    op = graph.operators[0]
    op.inputs, op.builtinOptionsType = op.inputs[:1], schema.BuiltinOptions.Pool2DOptions
    options = op.builtinOptions = schema.Pool2DOptionsT()
    options.padding, options.strideH, options.strideW, options.filterHeight, options.filterWidth = (
        1,
        8,
        8,
        8,
        8,
    )
    code = model.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.AVERAGE_POOL_2D


def test_average_pool_is_a_constant_convolution() -> None:
    wrote = CASES["average_8x8"]
    loaded = from_bytes(changed(average_pool, printer.to_bytes(wrote, META)), "average").graph
    (op,) = loaded.ops
    assert op.attrs == wrote.ops[0].attrs.__class__(stride=(8, 8), constant=True)
    x = random_input(wrote, 20)
    assert np.array_equal(
        run(loaded, {"image": x})[op.outputs[0]], run(wrote, {"image": x})[wrote.outputs[0]]
    )


def softmax(model: Any, schema: Any, beta: float = 1.0) -> None:
    graph = model.subgraphs[0]
    op, code, tensor = schema.OperatorT(), schema.OperatorCodeT(), schema.TensorT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.SOFTMAX
    last = int(graph.outputs[0])
    tensor.name, tensor.shape, tensor.type = (
        "probabilities",
        graph.tensors[last].shape,
        schema.TensorType.INT8,
    )
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = np.float32([1 / 256]), np.array([-128])
    op.inputs, op.outputs = np.int32([last]), np.int32([len(graph.tensors)])
    op.opcodeIndex = len(model.operatorCodes)
    op.builtinOptionsType, op.builtinOptions = schema.BuiltinOptions.SoftmaxOptions, schema.SoftmaxOptionsT()
    op.builtinOptions.beta = beta
    graph.outputs = op.outputs
    graph.operators, graph.tensors = [*graph.operators, op], [*graph.tensors, tensor]
    model.operatorCodes = [*model.operatorCodes, code]
    model.signatureDefs = []


def test_a_last_softmax_is_left_out_and_told() -> None:
    graph = small_integer_graph(1)
    loaded = from_bytes(changed(softmax), "small")
    assert loaded.graph.outputs == graph.outputs
    assert len(loaded.notes) == 1 and "softmax at the end is left out" in loaded.notes[0]


def test_a_relu_that_saturation_does_not_do_is_a_table() -> None:
    net = Builder("clamped", 0)
    net.conv(net.input((1, 8, 8, 3)), 4, zero_point=-20)
    graph = net.graph()

    def relu6(model: Any, schema: Any) -> None:
        model.subgraphs[0].operators[
            0
        ].builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.RELU6

    data = changed(relu6, printer.to_bytes(graph, META))
    loaded = from_bytes(data, "clamped").graph
    assert [op.kind for op in loaded.ops] == ["CONV_2D", "TABLE"]
    x = random_input(graph, 4)
    from edgedistill.runners.litert import LiteRt

    got = answer(loaded, x)
    assert np.array_equal(got, LiteRt(data).run(x))
    assert got.min() == -20


def test_everything_unsupported_is_listed_at_once() -> None:
    def rename(model: Any, schema: Any) -> None:
        for code in model.operatorCodes:
            if code.builtinCode in (schema.BuiltinOperator.MAX_POOL_2D, schema.BuiltinOperator.MUL):
                code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.L2_POOL_2D

    with pytest.raises(UnsupportedOpError) as caught:
        from_bytes(changed(rename), "small.tflite")
    text = str(caught.value)
    assert text.startswith("3 operators of this file cannot be compiled")
    assert (
        text.count("L2_POOL_2D") == 3
        and "#6 L2_POOL_2D 'max_pool_2d_5': the" in text
        and "small.tflite" in text
    )


def test_a_float_model_is_refused() -> None:
    with pytest.raises(InputError, match="this is a float32 network"):
        from_bytes(printer.to_bytes(small_float_graph(1), META), "float")


def test_a_uint8_model_is_refused() -> None:
    def to_uint8(model: Any, schema: Any) -> None:
        for tensor in model.subgraphs[0].tensors:
            if tensor.type == schema.TensorType.INT8:
                tensor.type = schema.TensorType.UINT8

    with pytest.raises(InputError, match="uint8 activations"):
        from_bytes(changed(to_uint8), "uint8")


def test_float_activations_between_int8_weights_are_refused() -> None:
    def hybrid(model: Any, schema: Any) -> None:
        for tensor in model.subgraphs[0].tensors:
            if tensor.type == schema.TensorType.INT8 and not tensor.buffer:
                tensor.type = schema.TensorType.FLOAT32

    with pytest.raises(InputError, match="dynamic-range quantisation"):
        from_bytes(changed(hybrid), "hybrid")


def test_a_dynamic_shape_is_refused() -> None:
    def dynamic(model: Any, schema: Any) -> None:
        model.subgraphs[0].tensors[0].shapeSignature = np.array([-1, -1, 16, 3], np.int32)

    with pytest.raises(InputError, match=r"dynamic shape: \[\?, \?, 16, 3\]"):
        from_bytes(changed(dynamic), "dynamic")


def test_a_fixed_batch_is_refused() -> None:
    def batch(model: Any, schema: Any) -> None:
        tensor = model.subgraphs[0].tensors[0]
        tensor.shape, tensor.shapeSignature = np.array([4, 16, 16, 3], np.int32), None

    with pytest.raises(InputError, match="fixed batch of 4"):
        from_bytes(changed(batch), "batch")


def test_an_enormous_tensor_is_refused() -> None:
    def enormous(model: Any, schema: Any) -> None:
        model.subgraphs[0].tensors[0].shape = np.array([1, 2**30, 2**30, 3], np.int32)
        model.subgraphs[0].tensors[0].shapeSignature = None

    with pytest.raises(InputError, match="more than 268,435,456"):
        from_bytes(changed(enormous), "enormous")


def test_weights_of_minus_128_are_refused() -> None:
    def lowest(model: Any, schema: Any) -> None:
        weights = next(t for t in model.subgraphs[0].tensors if t.name == b"op0_w")
        buffer = model.buffers[weights.buffer]
        buffer.data = np.array(buffer.data)
        buffer.data[5] = 128

    with pytest.raises(UnsupportedOpError, match="hold -128"):
        from_bytes(changed(lowest), "lowest")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"TFL3", b"PK\x03\x04" + bytes(100)):
        with pytest.raises(InputError, match=r"this is not a .tflite file"):
            from_bytes(content, "x")
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read(tmp_path / "none.tflite")
    with pytest.raises(InputError, match=r"not read from .h5 files"):
        read(tmp_path / "model.h5")


@settings(max_examples=150, deadline=None)
@given(size=st.integers(8, len(SMALL) - 1))
def test_a_truncated_file_is_an_input_error(size: int) -> None:
    """Only a cut behind the network itself (through its appended labels, say) may leave it whole."""
    try:
        loaded = from_bytes(SMALL[:size], "cut")
    except InputError:
        return
    assert_same(loaded.graph, small_integer_graph(1))


@settings(max_examples=300, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(8, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=8)
)
def test_a_corrupt_file_is_an_input_error_or_another_network(changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(SMALL)
    for at, value in changes:
        damaged[at] = value
    try:
        graph = from_bytes(bytes(damaged), "corrupt").graph
    except InputError as error:
        assert "corrupt" in str(error)
        return
    assert graph.ops and graph.is_integer
