"""Whether two graphs are the same: operators, attributes, shapes, scales and constants, by name."""

from __future__ import annotations

import numpy as np

from edgedistill.ir.graph import Graph, QParams


def assert_same(read: Graph, wrote: Graph) -> None:
    """Everything that decides what is computed; the scales of a table's entries decide nothing."""
    assert (read.inputs, read.outputs, read.labels) == (wrote.inputs, wrote.outputs, wrote.labels)
    assert read.name == wrote.name
    assert [(o.name, o.attrs, o.inputs, o.outputs) for o in read.ops] == [
        (o.name, o.attrs, o.inputs, o.outputs) for o in wrote.ops
    ]
    assert set(read.tensors) == set(wrote.tensors)
    tables = {op.inputs[1] for op in wrote.ops if op.kind == "TABLE"}
    for name, tensor in wrote.tensors.items():
        other = read.tensors[name]
        assert (other.shape, other.dtype) == (tensor.shape, tensor.dtype), name
        assert (other.data is None) == (tensor.data is None), name
        if tensor.data is not None and other.data is not None:
            assert np.array_equal(other.data, tensor.data), name
        if name not in tables:
            assert _plain(other.quant) == _plain(tensor.quant), name


def _plain(quant: QParams | None) -> tuple[object, ...] | None:
    return None if quant is None else (quant.scale.tolist(), quant.zero_point, quant.axis)
