"""Restores what the operators of a file cannot say, from the remarks that our own printers leave there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

from edgedistill.ir import ops
from edgedistill.ir.graph import Graph, Op
from edgedistill.read.assemble import ends_at_6

_ACTIVE = (ops.Conv2D, ops.DepthwiseConv2D, ops.FullyConnected, ops.Add, ops.Mul)


def apply(graph: Graph, remarks: object) -> Graph:
    """``graph`` with names, activations and functions as remarked; what does not fit is passed over.

    Remarks change no value that the graph computes: an activation is a fact about scales (the rules
    check it), and a table's function is only its name.
    """
    if not isinstance(remarks, dict):
        return graph
    changed = [_op(graph, op, remarks.get(op.outputs[0])) for op in graph.ops]
    if len({op.name for op in changed}) != len(changed):
        return graph
    return graph.replace(ops=tuple(changed))


def _op(graph: Graph, op: Op, remark: object) -> Op:
    if not isinstance(remark, dict):
        return op
    name = remark.get("name", op.name)
    attrs = _attrs(graph, op, remark)
    return replace(op, attrs=attrs, name=name if isinstance(name, str) and name else op.name)


def _attrs(graph: Graph, op: Op, remark: Mapping[str, Any]) -> ops.Attrs:
    attrs = op.attrs
    match attrs:
        case ops.Table():
            alpha = remark.get("alpha", 0.0)
            if (
                remark.get("fn") in get_args(ops.Function)
                and isinstance(alpha, int | float)
                and math.isfinite(alpha)
            ):
                return ops.Table(remark["fn"], float(alpha))
        case ops.DepthwiseConv2D() if remark.get("constant") is not None:
            attrs = replace(attrs, constant=remark["constant"] is True)
    act, quant = remark.get("act"), graph.tensors[op.outputs[0]].quant
    if not isinstance(attrs, _ACTIVE) or quant is None or quant.zero_point != -128:
        return attrs
    return replace(attrs, act=act) if act == "relu" or (act == "relu6" and ends_at_6(quant)) else attrs
