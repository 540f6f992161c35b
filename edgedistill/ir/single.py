"""Cuts a graph for measuring: one operator as a network of its own, and an integer graph's float32 twin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgedistill.ir import ops
from edgedistill.ir.graph import Graph, Op, Tensor


def single(graph: Graph, op: Op) -> Graph | None:
    """``op`` as a graph with one input; None where it needs inputs of several shapes, or works on int16.

    An operator of several equally shaped inputs reads the first one for each: its time
    is the same, its answer is not.
    """
    if graph.is_int16(op):
        return None
    read = [name for name in op.inputs if graph.tensors[name].data is None]
    if any(graph.tensors[name].shape != graph.tensors[read[0]].shape for name in read):
        return None
    inputs = tuple(read[0] if name in read else name for name in op.inputs)
    names = dict.fromkeys((*inputs, *op.outputs))
    return Graph(
        name=op.name,
        tensors={name: graph.tensors[name] for name in names},
        ops=(replace(op, inputs=inputs),),
        inputs=(read[0],),
        outputs=op.outputs,
    )


def float_twin(graph: Graph) -> Graph:
    """The float32 graph of an integer graph: same operators and shapes, its weights dequantised."""
    assert graph.is_integer, "a float graph is its own twin"
    tables = {op.inputs[1] for op in graph.ops if isinstance(op.attrs, ops.Table)}
    tensors = {name: _dequantised(t) for name, t in graph.tensors.items() if name not in tables}
    operators = tuple(
        replace(op, inputs=op.inputs[:1]) if isinstance(op.attrs, ops.Table) else op for op in graph.ops
    )
    return graph.replace(tensors=tensors, ops=operators)


def _dequantised(tensor: Tensor) -> Tensor:
    data = tensor.data
    if data is not None and tensor.quant is not None:
        scale = tensor.quant.scale
        if tensor.quant.axis is not None:
            scale = scale.reshape([-1 if i == tensor.quant.axis else 1 for i in range(data.ndim)])
        data = (scale * (data.astype(np.int32) - tensor.quant.zero_point)).astype(np.float32)
    return replace(tensor, dtype="float32", quant=None, data=data)
