"""The ONNX file: what its nodes, constants, layouts and metadata say (its arithmetic: test_ort.py)."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx as onnx_library
import pytest
from onnx import ModelProto, numpy_helper

from edgedistill.errors import OutputError, UnknownNameError
from edgedistill.export import EXPORTERS, exporter_for, onnx
from edgedistill.export.metadata import Metadata
from edgedistill.ir.graph import Graph
from edgedistill.runners.ort import Ort
from tests import graphs

META = Metadata(
    "small", "a test model", ("Löwe", "b"), 1 / 64, 3, "0.1.0", provenance={"teacher": "t", "data": "digits"}
)


def model(graph: Graph, form: onnx.Form = "qlinear") -> ModelProto:
    return onnx_library.load_from_string(onnx.to_bytes(graph, META, form))


def kinds(m: ModelProto) -> Counter[str]:
    return Counter(n.op_type for n in m.graph.node)


def constants(m: ModelProto) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in m.graph.initializer}


def test_header_is_readable_by_mobile_builds() -> None:
    m = model(graphs.small_integer_graph(0))
    assert m.ir_version == 8
    assert {o.domain: o.version for o in m.opset_import} == {"": 17, "com.microsoft": 1}
    assert (m.producer_name, m.producer_version, m.doc_string) == ("edgedistill", "0.1.0", "a test model")


def test_metadata_holds_labels_contract_and_provenance() -> None:
    props = {p.key: p.value for p in model(graphs.small_integer_graph(0)).metadata_props}
    assert json.loads(props["labels"]) == ["Löwe", "b"]
    assert props["preprocessing"] == "int8 Nx16x16x3: q = pixel - 128; real = 0.015625 * (q - 3)"
    assert float(props["input_scale"]) == 1 / 64 and int(props["input_zero_point"]) == 3
    assert json.loads(props["provenance"]) == {"teacher": "t", "data": "digits"}
    assert props["form"] == "qlinear"


def test_qlinear_has_integer_nodes_only_and_one_entry_transpose() -> None:
    graph = graphs.small_integer_graph(0)
    m = model(graph)
    wanted = Counter(op.kind for op in graph.ops)
    found = kinds(m)
    assert found["QLinearConv"] == wanted["CONV_2D"] + wanted["DEPTHWISE_CONV_2D"]
    assert found["QGemm"] == wanted["FULLY_CONNECTED"] and found["QLinearMul"] == wanted["MUL"]
    assert found["Transpose"] == 1 and m.graph.node[0].op_type == "Transpose"
    assert not {"QuantizeLinear", "DequantizeLinear", "Conv", "Relu", "Clip"} & set(found)


def test_activation_scales_and_zero_points_are_rank_0() -> None:
    graph = graphs.small_integer_graph(0)
    for form in ("qlinear", "qdq"):
        arrays = constants(model(graph, form))
        for name in graph.activations():
            if f"{name}/scale" in arrays:
                assert arrays[f"{name}/scale"].shape == () == arrays[f"{name}/zero_point"].shape
        assert arrays["op0_w/scale"].shape == (8,) == arrays["op0_w/zero_point"].shape


def test_weights_and_biases_are_the_graphs_own_in_onnx_layout() -> None:
    graph = graphs.small_integer_graph(0)
    arrays = constants(model(graph))
    np.testing.assert_array_equal(arrays["op0_w"], graph.tensors["op0_w"].data.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(arrays["op2_w"], graph.tensors["op2_w"].data.transpose(3, 0, 1, 2))
    np.testing.assert_array_equal(arrays["op16_w"], graph.tensors["op16_w"].data)
    assert arrays["op0_w"].dtype == np.int8 and arrays["op0_b"].dtype == np.int32
    np.testing.assert_array_equal(arrays["op0_b"], graph.tensors["op0_b"].data)


def test_pads_are_explicit_and_in_onnx_order() -> None:
    node = next(
        n for n in model(graphs.integer_cases(0)["conv_5x5_lopsided"]).graph.node if "Conv" in n.op_type
    )
    attrs = {a.name: onnx_library.helper.get_attribute_value(a) for a in node.attribute}
    assert attrs["pads"] == [1, 0, 3, 2]  # top 1, bottom 3, left 0, right 2: begins, then ends
    assert "auto_pad" not in attrs


def test_depthwise_has_one_group_per_channel() -> None:
    node = next(n for n in model(graphs.integer_cases(0)["depthwise_same"]).graph.node if "Conv" in n.op_type)
    assert {a.name: onnx_library.helper.get_attribute_value(a) for a in node.attribute}["group"] == 6


def test_qdq_has_int8_at_its_borders_and_float_operators_inside() -> None:
    graph = graphs.small_integer_graph(0)
    m = model(graph, "qdq")
    assert m.graph.input[0].type.tensor_type.elem_type == onnx_library.TensorProto.INT8
    assert m.graph.output[0].type.tensor_type.elem_type == onnx_library.TensorProto.INT8
    found = kinds(m)
    assert found["Conv"] == 8 and found["Gemm"] == 1 and found["QLinearConv"] == 0
    assert [o.domain for o in m.opset_import] == [""]
    assert constants(m)["op0_w"].dtype == np.int8


def test_a_reshape_of_many_pixels_keeps_nhwc_order() -> None:
    graph = graphs.integer_cases(0)["reshape"]
    x = graphs.random_input(graph, 2)
    np.testing.assert_array_equal(Ort(onnx.to_bytes(graph, META)).run(x), x.reshape(2, -1))


def test_a_reshape_of_one_pixel_needs_no_transpose() -> None:
    assert kinds(model(graphs.small_integer_graph(0)))["Transpose"] == 1


def test_nodes_and_values_are_named_as_in_the_graph() -> None:
    graph = graphs.small_integer_graph(0)
    m = model(graph)
    assert {op.name for op in graph.ops} <= {n.name for n in m.graph.node}
    named = {v.name for v in (*m.graph.value_info, *m.graph.input, *m.graph.output)}
    assert named == set(graph.activations())


def test_float_graph_is_float_and_applies_activations() -> None:
    m = model(graphs.small_float_graph(0))
    found = kinds(m)
    assert found["Relu"] == 3 and found["Clip"] == 1 and found["Sigmoid"] == 1 and found["Erf"] == 1
    assert all(a.dtype in (np.float32, np.int64) for a in constants(m).values())


@pytest.mark.parametrize(
    ("fn", "alpha"),
    [(fn, 0.0) for fn in ("sigmoid", "tanh", "gelu", "silu", "hardswish", "hardsigmoid")]
    + [("elu", 0.7), ("leaky_relu", 0.1)],
)
def test_float_functions_are_the_functions(fn: str, alpha: float) -> None:
    net = graphs.Builder("fn", 0, integer=False)
    net.table(net.input((1, 64)), fn, 1.0, 0, alpha)
    x = np.linspace(-5, 5, 64, dtype=np.float32)[None]
    got = Ort(onnx.to_bytes(net.graph(), META)).run(x)
    wanted = graphs.FUNCTIONS[fn](x[0].astype(np.float64), alpha)
    np.testing.assert_allclose(got[0], wanted, atol=2e-6)


def test_same_graph_same_bytes() -> None:
    first, second = (onnx.to_bytes(graphs.small_integer_graph(4), META) for _ in range(2))
    assert first == second != onnx.to_bytes(graphs.small_integer_graph(5), META)


def test_write_is_to_bytes_and_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    graph = graphs.integer_cases(0)["dense"]
    onnx.write(graph, META, tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == onnx.to_bytes(graph, META)
    with pytest.raises(OutputError, match=r"cannot be written(.|\n)*none"):
        onnx.write(graph, META, tmp_path / "none" / "m.onnx")


def test_the_table_of_exporters_writes_what_its_rows_say(tmp_path: Path) -> None:
    assert {name: row.suffix for name, row in EXPORTERS.items()} == {
        "onnx": ".onnx",
        "tflite": ".tflite",
        "coreml": ".mlpackage",
        "c": "c",
    }
    graph = graphs.integer_cases(0)["dense"]
    for name in ("onnx", "tflite"):
        path = tmp_path / f"m{EXPORTERS[name].suffix}"
        EXPORTERS[name].write(graph, META, path)
        assert path.stat().st_size > 200
    with pytest.raises(UnknownNameError, match=r"no export format named 'onx'(.|\n)*did you mean onnx"):
        exporter_for("onx")
