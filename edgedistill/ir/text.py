"""Prints a graph for people: one line per operator with shapes, scales, zero points and costs."""

from __future__ import annotations

from edgedistill.ir import ops, plan
from edgedistill.ir.graph import Graph, Op, Tensor
from edgedistill.ir.names import short


def text(graph: Graph) -> str:
    """A table of operators between a summary and the arena's size."""
    costs = plan.macs(graph)
    called = short([*graph.tensors, *(op.name for op in graph.ops)])
    memory = plan.arena(graph)
    header = ("operator", "kind", "how", "inputs", "output", "scale", "zero", "MACs")
    rows = [
        header,
        *(("", "INPUT", "", "", *_tensor(graph.tensors[name], called[name]), "") for name in graph.inputs),
    ]
    for op in graph.ops:
        y = _tensor(graph.tensors[op.outputs[0]], called[op.outputs[0]])
        inputs = " ".join(_input(graph.tensors[name], called[name]) for name in op.inputs)
        cost = f"{costs[op.name]:,}" if costs[op.name] else ""
        rows.append((called[op.name], op.kind, _how(graph, op), inputs, *y, cost))
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    lines = [
        "  ".join(
            cell.rjust(width) if i == len(header) - 1 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    kind = "int8" if graph.is_integer else "float32"
    wide = len(graph.int16_activations())
    kind += f" with {wide} tensors in int16" if wide else ""
    summary = f"{graph.name}: {kind}, {len(graph.ops)} operators, {plan.parameters(graph):,} parameters"
    totals = (
        f"{sum(costs.values()):,} MACs, {plan.weight_bytes(graph):,} bytes of constants, "
        f"arena {memory.peak:,} bytes (no plan below {memory.lower_bound:,})"
    )
    return (
        "\n".join([summary, *lines, f"outputs: {', '.join(called[name] for name in graph.outputs)}", totals])
        + "\n"
    )


def _shape(tensor: Tensor) -> str:
    return "[" + ",".join(map(str, tensor.shape)) + "]"


def _tensor(tensor: Tensor, called: str) -> tuple[str, str, str]:
    """Name and shape, scale, zero point of an activation."""
    name = f"{called} {_shape(tensor)}" + (" int16" if tensor.dtype == "int16" else "")
    if tensor.quant is None:
        return name, "", ""
    return name, f"{tensor.quant.scale[0]:.9g}", str(tensor.quant.zero_point)


def _input(tensor: Tensor, called: str) -> str:
    """An activation by name, a constant by name and shape, with the range of its scales."""
    if tensor.data is None:
        return called
    scales = ""
    if tensor.quant is not None and tensor.dtype == "int8":
        scales = f"({tensor.quant.scale.min():.3g}..{tensor.quant.scale.max():.3g})"
    return f"{called}{_shape(tensor)}{scales}"


def _how(graph: Graph, op: Op) -> str:
    """Kernel, stride, pads and activation, where they say something."""
    parts: list[str] = []
    match op.attrs:
        case ops.Conv2D(stride, pads) | ops.DepthwiseConv2D(stride, pads):
            kernel = graph.tensors[op.inputs[1]].shape[1:3]
            parts += [f"{kernel[0]}x{kernel[1]}", *_window(stride, pads)]
        case ops.MaxPool2D(kernel, stride, pads):
            parts += [f"{kernel[0]}x{kernel[1]}", *_window(stride, pads)]
        case ops.Concat(axis):
            parts.append(f"axis {axis}")
        case ops.Table(fn, alpha):
            parts.append(fn + (f" {alpha:g}" if alpha else ""))
    act = getattr(op.attrs, "act", "none")
    if act != "none":
        parts.append(act)
    if ops.is_constant(op.attrs):
        parts.append("constant")
    return " ".join(parts)


def _window(stride: ops.Pair, pads: ops.Pads) -> list[str]:
    parts = (
        [f"/{stride[0]}" if stride[0] == stride[1] else f"/{stride[0]},{stride[1]}"]
        if stride != (1, 1)
        else []
    )
    return parts + (
        ["pad " + (str(pads[0]) if len(set(pads)) == 1 else ",".join(map(str, pads)))] if any(pads) else []
    )
