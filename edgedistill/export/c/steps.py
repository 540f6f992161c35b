"""Groups operators into what the C program runs as one, with the scratch bytes that each needs.

::

    Given:   y = CONV_2D(x); z = ADD(y, skip)     y read by nothing else
    Result:  z = CONV_2D + ADD(x, skip)           y never exists; z lies where skip lay
"""

from __future__ import annotations

import math

from edgedistill.ir import ops
from edgedistill.ir.graph import Graph, Op
from edgedistill.ir.plan import Step


def steps(graph: Graph) -> tuple[Step, ...]:
    """The graph's operators, in order, each in one step."""
    found: list[Step] = []
    waiting: Op | None = None  # a convolution that its ADD takes in
    for i, op in enumerate(graph.ops):
        following = graph.ops[i + 1] if i + 1 < len(graph.ops) else None
        if following is not None and _joins(graph, op, following):
            waiting = op
        elif waiting is not None:
            other = other_input(waiting, op)
            found.append(Step((waiting, op), (other,), _fused_bytes(graph, waiting)))
            waiting = None
        else:
            found.append(Step((op,), _over(graph, op), _scratch_bytes(graph, op)))
    return tuple(found)


def is_dense(graph: Graph, op: Op) -> bool:
    """FULLY_CONNECTED, or a CONV_2D whose only window is the whole input."""
    if isinstance(op.attrs, ops.Conv2D):
        x, w = graph.tensors[op.inputs[0]].shape, graph.tensors[op.inputs[1]].shape
        return not any(op.attrs.pads) and x[1:3] == w[1:3]
    return isinstance(op.attrs, ops.FullyConnected)


def other_input(conv: Op, add: Op) -> str:
    """What an ADD adds to the convolution's output."""
    return add.inputs[1] if add.inputs[0] == conv.outputs[0] else add.inputs[0]


def depth(graph: Graph, op: Op) -> int:
    """Products per output of a CONV_2D, filled up to a multiple of 4."""
    return -(-math.prod(graph.tensors[op.inputs[1]].shape[1:]) // 4) * 4


def plane(graph: Graph, op: Op) -> tuple[int, int]:
    """Height and width of what all windows of a DEPTHWISE_CONV_2D cover together."""
    assert isinstance(op.attrs, ops.DepthwiseConv2D)
    _, out_h, out_w, _ = graph.tensors[op.outputs[0]].shape
    _, kernel_h, kernel_w, _ = graph.tensors[op.inputs[1]].shape
    stride = op.attrs.stride
    return (out_h - 1) * stride[0] + kernel_h, (out_w - 1) * stride[1] + kernel_w


def _joins(graph: Graph, conv: Op, add: Op) -> bool:
    y = conv.outputs[0]
    return (
        isinstance(conv.attrs, ops.Conv2D)
        and not graph.is_int16(conv)
        and isinstance(add.attrs, ops.Add)
        and not is_dense(graph, conv)
        and add.inputs.count(y) == 1
        and len(graph.consumers(y)) == 1
        and y not in graph.outputs
    )


def _over(graph: Graph, op: Op) -> tuple[str, ...]:
    """Inputs that the kernel reads for the last time before it writes in their place."""
    y = graph.tensors[op.outputs[0]]
    if graph.is_int16(op) and not isinstance(op.attrs, ops.Add):
        return op.inputs if isinstance(op.attrs, ops.Quantize) else ()
    if isinstance(op.attrs, ops.Add | ops.Mul | ops.Table | ops.DepthwiseConv2D):
        count = 2 if isinstance(op.attrs, ops.Add) else 1
        return tuple(name for name in op.inputs[:count] if graph.tensors[name].shape == y.shape)
    return ()


def _scratch_bytes(graph: Graph, op: Op) -> int:
    if graph.is_int16(op):
        return 0
    if isinstance(op.attrs, ops.Conv2D) and not is_dense(graph, op):
        return _unfold_bytes(graph, op)
    if isinstance(op.attrs, ops.DepthwiseConv2D):
        return max(depthwise_scratch(graph, op))
    return 0


def depthwise_scratch(graph: Graph, op: Op) -> tuple[int, int, int]:
    """Bytes that the kernel needs with DSP instructions, Helium and NEON; the arena has room for each."""
    assert isinstance(op.attrs, ops.DepthwiseConv2D)
    _, kernel_h, kernel_w, _ = graph.tensors[op.inputs[1]].shape
    height, width = plane(graph, op)
    values = height * (width + width % 2)  # of a plane; the last windows may reach past it
    dsp = 2 * (values + 2) + 2 * 4 * kernel_h * (kernel_w // 2 + 1)
    helium = 4 * (values + 2 * op.attrs.stride[1]) + 4 * kernel_h * kernel_w
    neon = max(4 * (values + 4 * op.attrs.stride[1]), helium)
    return dsp, helium, neon


def _unfold_bytes(graph: Graph, op: Op) -> int:
    """Three columns of int16, and one of bytes where rows of the window are no whole words."""
    straddles = graph.tensors[op.inputs[0]].shape[3] % 4 != 0
    return (7 if straddles else 6) * depth(graph, op)


def _fused_bytes(graph: Graph, conv: Op) -> int:
    """The columns, and the outputs of as many positions: three, or four and columns of bytes with NEON."""
    channels = graph.tensors[conv.outputs[0]].shape[3]
    return max(
        _unfold_bytes(graph, conv) + -(-3 * channels // 4) * 4,
        4 * depth(graph, conv) + 4 * channels,
    )
