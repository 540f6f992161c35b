"""Takes an .onnx file apart into plain values, so that nothing behind it meets a damaged protobuf.

Knows the file format and nothing of the graph. Everything is checked here once: the inputs'
shapes, the sizes of constants, the kinds of attributes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import InputError
from edgedistill.read.assemble import MAX_VALUES

Attr = int | float | str | tuple[int, ...] | tuple[float, ...]

_FIX = "copy it again (compare the sizes), or export the network again"


@dataclass(frozen=True)
class Node:
    """An operator; an input left out is the empty name."""

    index: int
    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Attr]

    def input(self, position: int) -> str:
        """The name of an input; empty where it is left out."""
        return self.inputs[position] if position < len(self.inputs) else ""

    def ints(self, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """A list of numbers, or ``default``."""
        value = self.attrs.get(name, default)
        return tuple(int(v) for v in value) if isinstance(value, tuple) else default

    def number(self, name: str, default: float) -> float:
        """One number, or ``default``."""
        value = self.attrs.get(name, default)
        return float(value) if isinstance(value, int | float) else default

    def text(self, name: str, default: str) -> str:
        """A word, or ``default``."""
        value = self.attrs.get(name, default)
        return value if isinstance(value, str) else default


@dataclass(frozen=True)
class Border:
    """An input or output of the network; ``shape`` with batch 1."""

    name: str
    dtype: str  # INT8, FLOAT, UINT8, ...
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """One network; ``shown`` are the values whose names the file declares."""

    name: str
    nodes: tuple[Node, ...]
    constants: Mapping[str, NDArray[Any]]
    inputs: tuple[Border, ...]
    outputs: tuple[str, ...]
    shown: frozenset[str]
    properties: Mapping[str, str]

    def readers(self, value: str) -> list[Node]:
        """The operators that read a value."""
        return [node for node in self.nodes if value in node.inputs]


def parse(data: bytes, where: str) -> OnnxFile:
    """Takes the file apart.

    Raises:
        InputError: it is no ONNX model, it is damaged, or an input has no fixed shape.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's errors share no public class
        raise InputError("this is not an ONNX file, or a damaged one", where=where, fix=_FIX) from error
    _check_text(model, where)
    if not model.graph.node:
        raise InputError("this ONNX file holds no operators", where=where, fix=_FIX)
    graph = model.graph
    constants = {t.name: _array(t, where) for t in graph.initializer}
    nodes = []
    for index, node in enumerate(graph.node):
        attrs, tensors = _attrs(node, where)
        if node.op_type == "Constant" and len(node.output) == 1:
            constants[node.output[0]] = tensors.get("value", np.zeros(0, np.float32))
            continue
        nodes.append(Node(index, node.op_type, node.name, tuple(node.input), tuple(node.output), attrs))
    inputs = tuple(_border(value, where) for value in graph.input if value.name not in constants)
    if not inputs or not graph.output:
        raise InputError("this ONNX file has no input or no output", where=where, fix=_FIX)
    return OnnxFile(
        graph.name or "main",
        tuple(nodes),
        constants,
        inputs,
        tuple(value.name for value in graph.output),
        frozenset(value.name for value in graph.value_info),
        {p.key: p.value for p in model.metadata_props},
    )


def _check_text(model: Any, where: str) -> None:
    """protobuf gives bytes instead of text where a damaged name is no UTF-8."""
    graph = model.graph
    texts = [graph.name, *(t.name for t in graph.initializer)]
    texts += [v.name for values in (graph.input, graph.output, graph.value_info) for v in values]
    texts += [text for p in model.metadata_props for text in (p.key, p.value)]
    for node in graph.node:
        texts += [node.op_type, node.name, *node.input, *node.output, *(a.name for a in node.attribute)]
    wrong = next((text for text in texts if not isinstance(text, str)), None)
    if wrong is not None:
        raise InputError(f"a name in this ONNX file is no text: {wrong!r}", where=where, fix=_FIX)


def inferred_shapes(data: bytes) -> dict[str, tuple[int, ...]]:
    """Shapes with batch 1 of the values inside, as far as ONNX can tell them."""
    import onnx

    try:
        graph = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(data)).graph
    except Exception:  # a network that the inference refuses is judged without it
        return {}
    found = {}
    for value in graph.value_info:
        dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
        if dims and all(d > 0 for d in dims[1:]):
            found[value.name] = (1, *dims[1:])
    return found


def _array(tensor: Any, where: str) -> NDArray[Any]:
    from onnx import TensorProto, numpy_helper

    if tensor.data_location == TensorProto.EXTERNAL:
        raise InputError(
            f"the constant {tensor.name!r} lies in another file",
            where=where,
            fix="save the model as one file (onnx.save with save_as_external_data=False)",
        )
    if any(n < 0 for n in tensor.dims) or math.prod(tensor.dims) > MAX_VALUES:
        raise InputError(
            f"the constant {tensor.name!r} would have the shape {list(tensor.dims)[:9]}",
            where=where,
            fix=_FIX,
        )
    try:
        return np.array(numpy_helper.to_array(tensor))
    except Exception as error:  # numpy_helper raises what NumPy, struct and its own tables raise
        raise InputError(f"the constant {tensor.name!r} is damaged", where=where, fix=_FIX) from error


def _attrs(node: Any, where: str) -> tuple[dict[str, Attr], dict[str, NDArray[Any]]]:
    from onnx import AttributeProto

    found: dict[str, Attr] = {}
    tensors: dict[str, NDArray[Any]] = {}
    for a in node.attribute:
        if a.type == AttributeProto.INT:
            found[a.name] = int(a.i)
        elif a.type == AttributeProto.FLOAT:
            found[a.name] = float(a.f)
        elif a.type == AttributeProto.STRING:
            found[a.name] = a.s.decode("utf-8", "replace")
        elif a.type == AttributeProto.INTS:
            found[a.name] = tuple(int(i) for i in a.ints)
        elif a.type == AttributeProto.FLOATS:
            found[a.name] = tuple(float(f) for f in a.floats)
        elif a.type == AttributeProto.TENSOR:
            tensors[a.name] = _array(a.t, where)
    return found, tensors


def _border(value: Any, where: str) -> Border:
    from onnx import TensorProto

    kind = value.type.tensor_type
    dims = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
    open_dims = ["?" if d is None or d < 1 else str(d) for d in dims]
    if not dims or any(d is None or d < 1 for d in dims[1:]):
        raise InputError(
            f"the input {value.name!r} has a dynamic shape: [{', '.join(open_dims)}]",
            where=where,
            fix="export the network with a fixed input shape; only the batch may stay open",
        )
    if dims[0] not in (None, 0, 1):
        raise InputError(
            f"the input {value.name!r} has a fixed batch of {dims[0]}, not 1",
            where=where,
            fix="export the network with batch 1, or with an open batch",
        )
    shape = (1, *(int(d) for d in dims[1:] if d is not None))
    if math.prod(shape) > MAX_VALUES:
        raise InputError(f"the input {value.name!r} would hold {math.prod(shape):,} values", where=where)
    names = {number: name for name, number in TensorProto.DataType.items()}
    return Border(value.name, names.get(kind.elem_type, "UNDEFINED"), shape)
