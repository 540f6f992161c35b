"""ONNX: the graph printed for ONNX Runtime on phones, desktops, servers and in browsers.

The model takes and gives the same bytes as every other artifact: int8 NHWC in, [N, classes]
out (float32 where the graph is). Layout and names of the values inside: onnx_emitter.py.

Two forms of an integer graph:

* ``qlinear``: QLinearConv, QGemm, QLinearAdd, QLinearMul, and operators on int16 as in
  onnx_int16.py. Bit-identical to the interpreter at every optimisation level. The one to ship to CPUs.
* ``qdq``: float operators between QuantizeLinear and DequantizeLinear, what NPU compilers
  read. Bit-identical only with ``session.qdqisint8allowed=1`` and the level at least
  ``extended``; by default on x86 it is fused only partly, and some logits are off by one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from edgedistill.errors import UnsupportedOpError, writing
from edgedistill.export.metadata import Metadata, remarks
from edgedistill.ir.graph import Graph

Form = Literal["qlinear", "qdq"]
LAYOUT_KEY = "edgedistill.layout"
OPERATORS_KEY = "edgedistill.operators"
LAYOUT_VALUE = "inputs and outputs NHWC, values inside NCHW"


def to_bytes(graph: Graph, meta: Metadata, form: Form = "qlinear") -> bytes:
    """The ONNX file of a graph: opset 17, IR version 8, dynamic batch ``N``.

    Args:
        graph: float or integer.
        meta: goes into ``metadata_props`` and ``doc_string``.
        form: of an integer graph; a float graph has one form.

    Raises:
        UnsupportedOpError: int16 activations in form qdq.
    """
    import onnx
    from onnx import helper

    from edgedistill.export import onnx_float, onnx_qlinear
    from edgedistill.export.onnx_emitter import Emitter

    if form == "qdq" and graph.int16_activations():
        raise UnsupportedOpError(
            "the QDQ form cannot hold int16 activations exactly",
            where=graph.name,
            fix='use the form "qlinear"',
        )
    integer = {"qlinear": onnx_qlinear.emit, "qdq": onnx_float.emit_qdq}
    emit = integer[form] if graph.is_integer else onnx_float.emit
    e = Emitter(graph)
    e.enter()
    for op in graph.ops:
        emit(e, op)
    e.leave()
    model = e.model()
    model.producer_name = "edgedistill"
    model.producer_version = meta.version
    model.doc_string = meta.description
    helper.set_model_props(model, properties(graph, meta, form))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def write(graph: Graph, meta: Metadata, path: Path, form: Form = "qlinear") -> None:
    """Writes ``to_bytes`` to ``path``.

    Raises:
        OutputError: the file cannot be written.
    """
    content = to_bytes(graph, meta, form)
    with writing("the ONNX file", path):
        path.write_bytes(content)


def properties(graph: Graph, meta: Metadata, form: Form) -> dict[str, str]:
    """What ``metadata_props`` says: the labels, the contract of the input, where the model came from."""
    shape = "x".join(["N", *(str(n) for n in graph.tensors[graph.inputs[0]].shape[1:])])
    scale, zero, noun = meta.input_scale, meta.input_zero_point, meta.input_noun
    if graph.is_integer:
        contract = f"int8 {shape}: q = {noun} - 128; real = {scale!r} * (q - {zero})"
    else:
        contract = f"float32 {shape}: {scale!r} * ({noun} - 128 - {zero})"
    return {
        "name": meta.name,
        "labels": json.dumps(list(meta.labels), ensure_ascii=False),
        "preprocessing": contract,
        "input_scale": repr(meta.input_scale),
        "input_zero_point": str(meta.input_zero_point),
        "provenance": json.dumps(dict(meta.provenance), ensure_ascii=False, sort_keys=True),
        "form": form if graph.is_integer else "float32",
        "edgedistill_version": meta.version,
        OPERATORS_KEY: json.dumps(remarks(graph, scales=True), ensure_ascii=False, sort_keys=True),
        LAYOUT_KEY: LAYOUT_VALUE,
    }
