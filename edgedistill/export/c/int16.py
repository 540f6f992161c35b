"""Prints the steps of a graph that work on int16: kernels without scratch bytes, sums of 64 bits."""

from __future__ import annotations

import math
from collections.abc import Mapping

from edgedistill.errors import InputError
from edgedistill.export.c import layout, text
from edgedistill.export.c.operators import Printed, Site
from edgedistill.ir import numerics16, ops, verify
from edgedistill.ir.graph import Graph, Op
from edgedistill.ir.plan import Step


def print_int16(graph: Graph, step: Step, site: Site) -> Printed:
    """One operator on int16, or QUANTIZE.

    Raises:
        InputError: sums or multipliers that the rule does not cover.
    """
    op = step.ops[0]
    y = op.outputs[0]
    count = math.prod(graph.tensors[y].shape)
    match op.attrs:
        case ops.Reshape():
            return Printed()  # the same bytes
        case ops.Quantize():
            return _quantise(graph, op, site, count)
        case ops.Add(act):
            low, high = numerics16.limits_16(layout.quant(graph, y), act)
            operands = ", ".join(_address(graph, name, site) for name in (*op.inputs, y))
            return Printed("", f"edge_add16({operands}, {count}, {low}, {high});", ("add16",))
        case _:
            return _weighted(graph, op, site)


def _quantise(graph: Graph, op: Op, site: Site, count: int) -> Printed:
    q_x, q_y = (layout.quant(graph, name) for name in (op.inputs[0], op.outputs[0]))
    x, y = (_address(graph, name, site) for name in (op.inputs[0], op.outputs[0]))
    ratio = numerics16.whole_ratio(q_x, q_y)
    call = f"edge_to_int8({x}, {y}, {count}, {q_y.zero_point});"
    if q_y.bits == 16:
        call = f"edge_to_int16({x}, {y}, {count}, {q_x.zero_point}, {ratio});"
    return Printed("", call, ("quantise16",))


def _weighted(graph: Graph, op: Op, site: Site) -> Printed:
    reasons = verify.past_int16(graph, op)
    if reasons:
        raise InputError(reasons[0], where=f"{graph.name}: {op.name}", fix="leave it out of quantise.int16")
    kind = "depthwise16" if isinstance(op.attrs, ops.DepthwiseConv2D) else "conv16"
    fields = {
        "weights": f"{site.prefix}_weights",
        "channels": f"{site.prefix}_channels",
        **_sizes(graph, op),
    }
    x, y = (_address(graph, name, site) for name in (op.inputs[0], op.outputs[0]))
    return Printed(
        text.bytes_array(f"{site.prefix}_weights", layout.rows(graph, op))
        + _channels(graph, op, site)
        + text.structure("edge_window16_t", site.prefix, fields),
        f"edge_{kind}(&{site.prefix}, {x}, {y});",
        (kind,),
    )


def _sizes(graph: Graph, op: Op) -> Mapping[str, int | str]:
    """Sizes, strides, pads and limits; a fully connected layer is one position of 1x1."""
    x, w, y = (graph.tensors[name].shape for name in (op.inputs[0], op.inputs[1], op.outputs[0]))
    attrs = op.attrs
    stride, pads = (1, 1), (0, 0, 0, 0)
    if isinstance(attrs, ops.FullyConnected):
        x, w, y = (1, 1, 1, x[1]), (w[0], 1, 1, w[1]), (1, 1, 1, y[1])
    else:
        assert isinstance(attrs, ops.Conv2D | ops.DepthwiseConv2D)
        stride, pads = attrs.stride, attrs.pads
    low, high = numerics16.limits_16(layout.quant(graph, op.outputs[0]), getattr(attrs, "act", "none"))
    return {
        **dict(zip(("in_height", "in_width", "in_channels"), x[1:], strict=True)),
        **dict(zip(("out_height", "out_width", "out_channels"), y[1:], strict=True)),
        **dict(zip(("kernel_height", "kernel_width"), w[1:3], strict=True)),
        **dict(zip(("stride_height", "stride_width"), stride, strict=True)),
        "pad_top": pads[0],
        "pad_left": pads[2],
        "low": low,
        "high": high,
    }


def _channels(graph: Graph, op: Op, site: Site) -> str:
    bias = graph.tensors[op.inputs[2]].data
    assert bias is not None
    scales = [layout.quant(graph, name).scale for name in (op.inputs[0], op.inputs[1], op.outputs[0])]
    fixed = [numerics16.fixed_16(float(m)) for m in numerics16.multiplier_16(*scales)]
    rows = [f"{{{b}, {m}, {shift}}}" for b, (m, shift) in zip(bias.tolist(), fixed, strict=True)]
    name = f"{site.prefix}_channels"
    return f"static const edge_channel16_t {name}[{len(rows)}] = {{\n{text.lines(rows)}\n}};\n"


def _address(graph: Graph, name: str, site: Site) -> str:
    """Where a value lies; the arena, in bytes, is aligned to words and to 16 bytes within."""
    where = site.address[name]
    return f"(void *)({where})" if graph.tensors[name].dtype == "int16" else where
