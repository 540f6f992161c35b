"""An .onnx read back is the graph that was printed; one that onnxruntime quantised answers as there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgedistill.errors import InputError, UnsupportedOpError
from edgedistill.export import onnx as printer
from edgedistill.export.metadata import Metadata
from edgedistill.ir.graph import Graph
from edgedistill.ir.interpret import run
from edgedistill.ir.numerics import dequantise
from edgedistill.read import Loaded
from edgedistill.read.onnx import from_bytes
from tests.graphs import integer_cases, random_input, small_float_graph, small_integer_graph
from tests.read.same import assert_same

META = Metadata("small", "a test network", (), 1 / 64, 0, "0")
CASES = integer_cases(6)
SMALL = printer.to_bytes(small_integer_graph(1), META)
FORMS: tuple[printer.Form, ...] = ("qlinear", "qdq")


def labelled(graph: Graph) -> Metadata:
    return Metadata("small", "a test network", graph.labels, 1 / 64, 0, "0")


def changed(change: Callable[[Any], None], data: bytes = SMALL) -> bytes:
    """The file with something else in it."""
    model = onnx.load_model_from_string(data)
    change(model)
    return bytes(model.SerializeToString())


def forget(model: Any) -> None:
    """As a file of somebody else: without our remarks, but with what tells the input's scale."""
    kept = [p for p in model.metadata_props if p.key != printer.OPERATORS_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CASES)
def test_what_was_printed_is_read_back(name: str, form: printer.Form) -> None:
    assert_same(from_bytes(printer.to_bytes(CASES[name], META, form), name).graph, CASES[name])


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), form=st.sampled_from(FORMS))
def test_a_whole_network_is_read_back(seed: int, form: printer.Form) -> None:
    graph = small_integer_graph(seed)
    loaded = from_bytes(printer.to_bytes(graph, labelled(graph), form), "small")
    assert_same(loaded.graph, graph)
    assert loaded.notes == ()


@pytest.mark.parametrize("form", FORMS)
def test_without_our_remarks_the_same_values_are_computed(form: printer.Form) -> None:
    graph = small_integer_graph(4)

    loaded = from_bytes(changed(forget, printer.to_bytes(graph, META, form)), "small").graph
    x = random_input(graph, 3)
    ours, theirs = run(graph, {"image": x}), run(loaded, {"image": x})
    assert np.array_equal(ours[graph.outputs[0]], theirs[loaded.outputs[0]])
    assert [op.kind for op in loaded.ops] == [op.kind for op in graph.ops]


class Calibration:
    """Random images for onnxruntime's calibration."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self.left = [{"x": rng.normal(size=(1, 3, 16, 16)).astype(np.float32)} for _ in range(4)]

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return self.left.pop() if self.left else None


def float_model(nodes: Sequence[Any], shapes: dict[str, tuple[int, ...]], output: int) -> Any:
    """A float32 model x [N,3,16,16] -> y [N, output] with random weights."""
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(
            (rng.normal(size=s) / np.sqrt(np.prod(s[1:]) if len(s) > 1 else 1)).astype(np.float32), n
        )
        for n, s in shapes.items()
    ]
    weights += [numpy_helper.from_array(np.float32(v), n) for n, v in (("zero", 0), ("six", 6))]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", output])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def everything() -> Any:
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], auto_pad="SAME_UPPER"),
        node("Relu", ["c1"], ["r1"]),
        node("Conv", ["r1", "wd", "bd"], ["d1"], pads=[0, 0, 1, 1], strides=[2, 2], group=8),
        node("Clip", ["d1", "zero", "six"], ["d2"]),
        node("Conv", ["d2", "w2", "b2"], ["c2"], pads=[2, 2, 2, 2], dilations=[2, 2]),
        node("Add", ["d2", "c2"], ["a1"]),
        node("Relu", ["a1"], ["ra"]),
        node("MaxPool", ["ra"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p1", "w3", "b3"], ["c3"]),
        node("Concat", ["c3", "p1"], ["cc"], axis=1),
        node("Sigmoid", ["cc"], ["s"]),
        node("Mul", ["cc", "s"], ["m"]),
        node("AveragePool", ["m"], ["ap"], kernel_shape=[3, 3]),
        node("Flatten", ["ap"], ["f"]),
        node("Gemm", ["f", "wf", "bf"], ["g"], transB=1),
        node("MatMul", ["g", "wm"], ["mm"]),
        node("Add", ["mm", "bm"], ["y"]),
    ]
    shapes = {"w1": (8, 3, 3, 3), "b1": (8,), "wd": (8, 1, 3, 3), "bd": (8,), "w2": (8, 8, 3, 3), "b2": (8,)}
    shapes |= {"w3": (8, 8, 1, 1), "b3": (8,), "wf": (10, 64), "bf": (10,), "wm": (10, 6), "bm": (6,)}
    return float_model(nodes, shapes, 6)


def quantised(
    model: Any, folder: Path, form: str, activations: str = "QInt8", per_channel: bool = True
) -> bytes:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    onnx.save(model, folder / "float.onnx")
    quantize_static(
        folder / "float.onnx",
        folder / "int8.onnx",
        Calibration(),
        quant_format=QuantFormat[form],
        per_channel=per_channel,
        activation_type=QuantType[activations],
        weight_type=QuantType.QInt8,
    )
    return (folder / "int8.onnx").read_bytes()


def differences(loaded: Loaded, data: bytes) -> NDArray[np.int32]:
    """Our answers less ONNX Runtime's to the same images, in steps of the output's scale [N, outputs]."""
    import onnxruntime

    graph = loaded.graph
    x = random_input(graph, 40)
    q_x, q_y = graph.tensors[graph.inputs[0]].quant, graph.tensors[graph.outputs[0]].quant
    assert q_x is not None and q_y is not None
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    real = np.ascontiguousarray(dequantise(x, q_x).transpose(0, 3, 1, 2))
    theirs = np.rint(session.run(["y"], {"x": real})[0] / q_y.scale[0]) + q_y.zero_point
    ours = run(graph, {graph.inputs[0]: x})[graph.outputs[0]]
    assert np.std(ours.astype(float)) > 5  # answers that tell something
    return np.asarray(ours.astype(np.int32) - theirs.astype(np.int32))


@pytest.mark.parametrize(("form", "per_channel"), [("QDQ", True), ("QDQ", False), ("QOperator", True)])
def test_what_onnxruntime_quantised_answers_as_there(tmp_path: Path, form: str, per_channel: bool) -> None:
    data = quantised(everything(), tmp_path, form, per_channel=per_channel)
    loaded = from_bytes(data, "foreign.onnx")
    kinds = [op.kind for op in loaded.graph.ops]
    assert kinds.count("CONV_2D") == 3 and kinds.count("DEPTHWISE_CONV_2D") == 2
    assert {"ADD", "MUL", "MAX_POOL_2D", "CONCATENATION", "TABLE", "RESHAPE", "FULLY_CONNECTED"} <= set(kinds)
    assert not differences(loaded, data).any()
    assert (
        len(loaded.notes) == 2 and "NCHW becomes NHWC" in loaded.notes[0] and "left int8" in loaded.notes[1]
    )


def test_a_last_softmax_is_left_out_and_told(tmp_path: Path) -> None:
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"], strides=[2, 2]),
        node("GlobalAveragePool", ["c"], ["p"]),
        node("Flatten", ["p"], ["f"]),
        node("Softmax", ["f"], ["y"]),
    ]
    data = quantised(float_model(nodes, {"w": (5, 3, 3, 3), "b": (5,)}, 5), tmp_path, "QDQ")
    loaded = from_bytes(data, "softmax.onnx")
    assert [op.kind for op in loaded.graph.ops] == ["CONV_2D", "DEPTHWISE_CONV_2D", "RESHAPE"]
    assert any("softmax at the end is left out" in note for note in loaded.notes)


def test_everything_unsupported_is_listed_at_once(tmp_path: Path) -> None:
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"], group=3),
        node("InstanceNormalization", ["c", "s", "t"], ["i"]),
        node("Relu", ["i"], ["r"]),
        node("GlobalMaxPool", ["r"], ["p"]),
        node("Flatten", ["p"], ["y"]),
    ]
    shapes: dict[str, tuple[int, ...]] = {"w": (6, 1, 3, 3), "b": (6,), "s": (6,), "t": (6,)}
    data = quantised(float_model(nodes, shapes, 6), tmp_path, "QDQ")
    with pytest.raises(UnsupportedOpError) as caught:
        from_bytes(data, "net.onnx")
    text = str(caught.value)
    assert "Conv 'c': 3 groups: weights [6, 1, 3, 3] on 3 channels" in text
    assert "InstanceNormalization" in text and "GlobalMaxPool" in text and "net.onnx" in text


def test_other_kinds_of_networks_are_refused(tmp_path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with pytest.raises(InputError, match="this is a float32 network"):
        from_bytes(printer.to_bytes(small_float_graph(1), META), "float")
    with pytest.raises(InputError, match="uint8 activations"):
        from_bytes(quantised(everything(), tmp_path, "QDQ", "QUInt8"), "uint8")
    quantize_dynamic(tmp_path / "float.onnx", tmp_path / "dynamic.onnx", weight_type=QuantType.QInt8)
    with pytest.raises(InputError, match="quantised dynamically"):
        from_bytes((tmp_path / "dynamic.onnx").read_bytes(), "dynamic")


def test_a_dynamic_shape_and_a_fixed_batch_are_refused() -> None:
    def dynamic(model: Any) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "height"

    def batch(model: Any) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 8

    with pytest.raises(InputError, match=r"dynamic shape: \[\?, \?, 16, 3\]"):
        from_bytes(changed(dynamic), "dynamic")
    with pytest.raises(InputError, match="fixed batch of 8"):
        from_bytes(changed(batch), "batch")


def test_constants_in_other_files_are_refused() -> None:
    def outside(model: Any) -> None:
        model.graph.initializer[0].data_location = TensorProto.EXTERNAL

    with pytest.raises(InputError, match="lies in another file"):
        from_bytes(changed(outside), "outside")


@settings(max_examples=60, deadline=None)
@given(size=st.integers(0, len(SMALL) - 1))
def test_a_truncated_file_is_an_input_error(size: int) -> None:
    """Only a cut between the network and the metadata behind it may leave it whole."""
    try:
        graph = from_bytes(SMALL[:size], "cut").graph
    except InputError:
        return
    assert [op.kind for op in graph.ops] == [op.kind for op in small_integer_graph(1).ops]


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=8))
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
