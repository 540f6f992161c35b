"""Prints each step of a graph: its constants, and the call that runs it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgedistill.errors import UnsupportedOpError
from edgedistill.export.c import constants, layout, steps, text
from edgedistill.ir import numerics, ops
from edgedistill.ir.graph import Graph, Op
from edgedistill.ir.interpret import Family
from edgedistill.ir.plan import Step


@dataclass(frozen=True)
class Site:
    """Where a step's values lie: C expressions, by tensor, and for its scratch bytes."""

    address: Mapping[str, str]
    scratch: str
    prefix: str  # of the step's constants
    family: Family = "F"


@dataclass(frozen=True)
class Printed:
    """C text of a step: constants at file scope, statements in the function, kernels that they use."""

    constants: str = ""
    calls: str = ""
    kernels: tuple[str, ...] = ()


Print = Callable[[Graph, Step, Site], Printed]


def _conv_fields(graph: Graph, op: Op, site: Site) -> Mapping[str, int | str]:
    assert isinstance(op.attrs, ops.Conv2D | ops.DepthwiseConv2D)
    x, w, y = (graph.tensors[name].shape for name in (op.inputs[0], op.inputs[1], op.outputs[0]))
    return {
        "weights": f"{site.prefix}_weights",
        "channels": f"{site.prefix}_channels",
        **dict(zip(("in_height", "in_width", "in_channels"), x[1:], strict=True)),
        **dict(zip(("out_height", "out_width"), y[1:3], strict=True)),
        **dict(zip(("kernel_height", "kernel_width"), w[1:3], strict=True)),
        **dict(zip(("stride_height", "stride_width"), op.attrs.stride, strict=True)),
        "pad_top": op.attrs.pads[0],
        "pad_left": op.attrs.pads[2],
        "in_zero": layout.quant(graph, op.inputs[0]).zero_point,
        "out_zero": layout.quant(graph, op.outputs[0]).zero_point,
    }


def _conv_constants(graph: Graph, op: Op, site: Site) -> str:
    fields = {
        **_conv_fields(graph, op, site),
        "out_channels": graph.tensors[op.outputs[0]].shape[3],
        "depth": steps.depth(graph, op),
    }
    return (
        text.bytes_array(f"{site.prefix}_weights", layout.by_pairs(layout.rows(graph, op)))
        + text.channels_array(f"{site.prefix}_channels", layout.channels(graph, op, site.family).filled_up(4))
        + text.structure("edge_conv_t", site.prefix, fields)
    )


def _conv(graph: Graph, step: Step, site: Site) -> Printed:
    op = step.ops[0]
    if steps.is_dense(graph, op):
        return _dense(graph, step, site)
    x, y = site.address[op.inputs[0]], site.address[op.outputs[0]]
    call = f"edge_conv(&{site.prefix}, {x}, {y}, {site.scratch});"
    return Printed(_conv_constants(graph, op, site), call, ("conv",))


def _conv_add(graph: Graph, step: Step, site: Site) -> Printed:
    conv, add = step.ops
    other = steps.other_input(conv, add)
    kind, fields = _add_fields(graph, conv.outputs[0], other, add, site.family)
    arguments = (
        site.address[conv.inputs[0]],
        site.address[other],
        site.address[add.outputs[0]],
        site.scratch,
    )
    return Printed(
        _conv_constants(graph, conv, site) + text.structure(f"edge_{kind}_t", f"{site.prefix}_sum", fields),
        f"edge_conv_{kind}(&{site.prefix}, &{site.prefix}_sum, {', '.join(arguments)});",
        (f"conv_{kind}",),
    )


def _dense(graph: Graph, step: Step, site: Site) -> Printed:
    op = step.ops[0]
    matrix = layout.rows(graph, op)
    channels = layout.channels(graph, op, site.family)
    scales = channels.scale if len(set(channels.scale)) > 1 else channels.scale[:1]
    fields = {
        "weights": f"{site.prefix}_weights",
        "biases": f"{site.prefix}_biases",
        "scales": f"{site.prefix}_scales",
        "scale_step": int(len(scales) > 1),
        "in_count": matrix.shape[1],
        "out_count": matrix.shape[0],
        "out_zero": layout.quant(graph, op.outputs[0]).zero_point,
    }
    return Printed(
        text.bytes_array(f"{site.prefix}_weights", layout.by_fours(matrix))
        + text.words_array(f"{site.prefix}_biases", channels.bias)
        + text.scales_array(f"{site.prefix}_scales", scales)
        + text.structure("edge_dense_t", site.prefix, fields),
        f"edge_dense(&{site.prefix}, {site.address[op.inputs[0]]}, {site.address[op.outputs[0]]});",
        ("dense",),
    )


def _depthwise(graph: Graph, step: Step, site: Site) -> Printed:
    op = step.ops[0]
    height, width = steps.plane(graph, op)
    weights, channels = layout.rows(graph, op), layout.channels(graph, op, site.family)
    same_weights, same_channels = bool((weights == weights[0]).all()), channels.are_the_same
    x, y = site.address[op.inputs[0]], site.address[op.outputs[0]]
    fields = {
        **_conv_fields(graph, op, site),
        "weights_step": 0 if same_weights else weights.shape[1],
        "channels_step": 0 if same_channels else 1,
        "plane_height": height,
        "plane_width": width,
        "pitch": width + width % 2,
    }
    return Printed(
        text.bytes_array(f"{site.prefix}_weights", weights[:1] if same_weights else weights)
        + text.channels_array(
            f"{site.prefix}_channels", channels.first(4) if same_channels else channels.filled_up(4)
        )
        + text.structure("edge_depthwise_t", site.prefix, fields),
        f"edge_depthwise(&{site.prefix}, {x}, {y}, {site.scratch});",
        ("depthwise",),
    )


def _add_fields(graph: Graph, a: str, b: str, op: Op, family: Family) -> tuple[str, Mapping[str, int | str]]:
    """The kernel's name and the fields of its structure; ``a`` is the left operand."""
    q_a, q_b, q_y = (layout.quant(graph, name) for name in (a, b, op.outputs[0]))
    if family == "D":
        return "add_fixed", constants.add_d(q_a, q_b, q_y)
    exact = constants.add(q_a, q_b, q_y)
    if exact is not None:
        return "add", exact
    left, right = q_a.scale[0] / q_y.scale[0], q_b.scale[0] / q_y.scale[0]
    if not 2**-24 < float(left) / float(right) < 2**24:
        raise UnsupportedOpError(
            f"the operands' scales, {q_a.scale[0]:g} and {q_b.scale[0]:g}, are further than 2**24 apart",
            where=f"{graph.name}: {op.name} (ADD)",
            fix="choose nearer scales",
        )
    zeros = {"left_zero": q_a.zero_point, "right_zero": q_b.zero_point, "zero": q_y.zero_point}
    return "add_float", {**zeros, "left": text.scale(left), "right": text.scale(right)}


def _add(graph: Graph, step: Step, site: Site) -> Printed:
    if len(step.ops) == 2:
        return _conv_add(graph, step, site)
    op = step.ops[0]
    kind, fields = _add_fields(graph, op.inputs[0], op.inputs[1], op, site.family)
    a, b, y = (site.address[name] for name in (*op.inputs, op.outputs[0]))
    count = math.prod(graph.tensors[op.outputs[0]].shape)
    return Printed(
        text.structure(f"edge_{kind}_t", site.prefix, fields),
        f"edge_{kind}(&{site.prefix}, {a}, {b}, {y}, {count});",
        (kind,),
    )


def _mul(graph: Graph, step: Step, site: Site) -> Printed:
    op = step.ops[0]
    q_a, q_b, q_y = (layout.quant(graph, name) for name in (*op.inputs, op.outputs[0]))
    exact = constants.mul(q_a, q_b, q_y) if site.family == "F" else None
    scale = (
        numerics.mul_multiplier_d(q_a, q_b, q_y)
        if site.family == "D"
        else numerics.multiplier(q_a.scale, q_b.scale, q_y.scale)[0]
    )
    kind = "mul" if exact is not None else "mul_float"
    fields: Mapping[str, int | str] = exact or {
        "a_zero": q_a.zero_point,
        "b_zero": q_b.zero_point,
        "zero": q_y.zero_point,
        "scale": text.scale(scale),
    }
    count, period = (math.prod(graph.tensors[name].shape) for name in op.inputs)
    a, b, y = (site.address[name] for name in (*op.inputs, op.outputs[0]))
    return Printed(
        text.structure(f"edge_{kind}_t", site.prefix, {**fields, "count": count, "period": period}),
        f"edge_{kind}(&{site.prefix}, {a}, {b}, {y});",
        (kind,),
    )


def _max_pool(graph: Graph, step: Step, site: Site) -> Printed:
    op = step.ops[0]
    assert isinstance(op.attrs, ops.MaxPool2D)
    x, y = (graph.tensors[name].shape for name in (op.inputs[0], op.outputs[0]))
    fields = {
        **dict(zip(("in_height", "in_width", "channels"), x[1:], strict=True)),
        **dict(zip(("out_height", "out_width"), y[1:3], strict=True)),
        **dict(zip(("kernel_height", "kernel_width"), op.attrs.kernel, strict=True)),
        **dict(zip(("stride_height", "stride_width"), op.attrs.stride, strict=True)),
        "pad_top": op.attrs.pads[0],
        "pad_left": op.attrs.pads[2],
    }
    return Printed(
        text.structure("edge_max_pool_t", site.prefix, fields),
        f"edge_max_pool(&{site.prefix}, {site.address[op.inputs[0]]}, {site.address[op.outputs[0]]});",
        ("max_pool",),
    )


def _concat(graph: Graph, step: Step, site: Site) -> Printed:
    op = step.ops[0]
    assert isinstance(op.attrs, ops.Concat)
    shape = graph.tensors[op.outputs[0]].shape
    rows, pitch = math.prod(shape[: op.attrs.axis]), math.prod(shape[op.attrs.axis :])
    calls, at = [], 0
    for name in op.inputs:
        count = math.prod(graph.tensors[name].shape[op.attrs.axis :])
        to = f"{site.address[op.outputs[0]]} + {at}"
        calls.append(f"edge_copy({site.address[name]}, {to}, {rows}, {count}, {pitch});")
        at += count
    return Printed("", "\n".join(calls), ("copy",))


def _table(graph: Graph, step: Step, site: Site) -> Printed:
    op = step.ops[0]
    x, table = op.inputs
    entries = graph.tensors[table].data
    assert entries is not None
    count = math.prod(graph.tensors[x].shape)
    return Printed(
        text.bytes_array(f"{site.prefix}_table", entries),
        f"edge_table({site.prefix}_table, {site.address[x]}, {site.address[op.outputs[0]]}, {count});",
        ("table",),
    )


def _reshape(graph: Graph, step: Step, site: Site) -> Printed:
    return Printed()  # the same bytes


OPERATORS: Mapping[str, Print] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "ADD": _add,
    "MUL": _mul,
    "MAX_POOL_2D": _max_pool,
    "CONCATENATION": _concat,
    "RESHAPE": _reshape,
    "TABLE": _table,
}
"""By the kind of a step's last operator."""
