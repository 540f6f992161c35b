"""States what a legal graph is, rule by rule, and which operators are exact by construction.

Each rule is a function whose docstring is the rule; it answers what is wrong with one
operator, or None. ``check`` is called between passes: a broken rule is the compiler's own
mistake, so it raises AssertionError.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgedistill.ir import numerics, numerics16, ops
from edgedistill.ir.graph import Graph, Op, QParams, Tensor

Rule: TypeAlias = Callable[[Graph, Op], str | None]

_WEIGHTED = (ops.Conv2D, ops.DepthwiseConv2D, ops.FullyConnected)
INT16_KINDS = (*_WEIGHTED, ops.Add, ops.Reshape, ops.Quantize)
"""Operators that int16 activations may meet."""

_SPATIAL = (ops.Conv2D, ops.DepthwiseConv2D, ops.MaxPool2D)
_EQUAL_SCALES = (ops.MaxPool2D, ops.Concat, ops.Reshape)
_SCALE_TOLERANCE = 1e-6  # a few float32 roundings
_LARGEST_MULTIPLIER = (
    256.0  # XNNPACK refuses larger requantisation scales (subgraph validation of qs8 operators)
)


def check(graph: Graph) -> None:
    """Asserts that every operator obeys every rule.

    Raises:
        AssertionError: naming the operator, the rule and what is wrong.
    """
    for op in graph.ops:
        for rule in RULES.values():
            wrong = rule(graph, op)
            if wrong is not None:
                text = " ".join((rule.__doc__ or "").split())
                raise AssertionError(f"{op.name} ({op.kind}): {wrong}. Rule {rule.__name__}: {text}")
    for name in graph.outputs:
        if name not in graph.activations():
            raise AssertionError(f"{graph.name}: the output {name} is computed by no operator")


def inputs_exist(graph: Graph, op: Op) -> str | None:
    """Every operator has its kind's number of inputs and one output, all of them tensors of the graph."""
    attrs = op.attrs
    if isinstance(attrs, _WEIGHTED):
        expected = 3
    elif isinstance(attrs, ops.Add | ops.Mul) or (isinstance(attrs, ops.Table) and graph.is_integer):
        expected = 2
    elif isinstance(attrs, ops.Concat):
        expected = max(len(op.inputs), 1)
    else:
        expected = 1
    if (len(op.inputs), len(op.outputs)) != (expected, 1):
        return f"{len(op.inputs)} inputs and {len(op.outputs)} outputs, not {expected} and 1"
    missing = [name for name in (*op.inputs, *op.outputs) if name not in graph.tensors]
    return f"no tensor named {', '.join(missing)}" if missing else None


def topological_order(graph: Graph, op: Op) -> str | None:
    """Operators read the graph's inputs, constants and earlier results; each tensor is written once."""
    index = next(i for i, other in enumerate(graph.ops) if other is op)
    written = set(graph.inputs).union(*(other.outputs for other in graph.ops[:index]))
    for name in op.inputs:
        if name not in written and graph.tensors[name].data is None:
            return f"{name} is read before it is written"
    if op.outputs[0] in written or graph.tensors[op.outputs[0]].data is not None:
        return f"{op.outputs[0]} is written twice"
    if any(other.name == op.name for other in graph.ops[:index]):
        return "another operator has the same name"
    return None


def constants_present(graph: Graph, op: Op) -> str | None:
    """Weights, biases and tables are constants whose arrays have the tensor's shape and type."""
    for tensor in _constants(graph, op):
        if tensor.data is None:
            return f"{tensor.name} has no data"
        if tensor.data.shape != tensor.shape or tensor.data.dtype != np.dtype(tensor.dtype):
            have = f"{tensor.data.dtype} {list(tensor.data.shape)}"
            return f"{tensor.name} holds {have}, not {tensor.dtype} {list(tensor.shape)}"
    return None


def dtypes(graph: Graph, op: Op) -> str | None:
    """An integer graph has int8 activations, weights and tables, and int32 biases; a float graph float32.

    Activations of some kinds may be int16, all of an operator's together; QUANTIZE alone changes the type.
    """
    constants = _constants(graph, op)
    activations = _activations(graph, op)
    wide = graph.is_integer and graph.is_int16(op)
    if graph.is_integer and isinstance(op.attrs, ops.Quantize):
        sides = [tensor.dtype for tensor in activations]
        return None if sorted(sides) == ["int16", "int8"] else f"its sides are {' and '.join(sides)}"
    if wide and not isinstance(op.attrs, INT16_KINDS):
        return "there is no such operator on int16"
    for tensor in (*activations, *constants):
        wanted = "float32" if not graph.is_integer else "int8"
        if wide and tensor in activations:
            wanted = "int16"
        if graph.is_integer and isinstance(op.attrs, _WEIGHTED) and tensor is constants[1]:
            wanted = "int32"
        if tensor.dtype != wanted:
            return f"{tensor.name} is {tensor.dtype}, not {wanted}"
    return None


def scales_present(graph: Graph, op: Op) -> str | None:
    """Activations have one scale and a zero point, of int16 always 0; weights a scale per channel and 0."""
    if not graph.is_integer:
        return None
    for tensor in _activations(graph, op):
        q = tensor.quant
        if q is not None and (tensor.dtype == "int16", q.bits) not in ((True, 16), (False, 8)):
            return f"{tensor.name} is {tensor.dtype} with parameters of {q.bits} bits"
        if q is not None and q.bits == 16 and q.zero_point != 0:
            return f"{tensor.name} is int16 with zero point {q.zero_point}"
        if q is None or q.axis is not None or not -128 <= q.zero_point <= 127 or not _positive(q):
            return f"{tensor.name} has no positive per-tensor scale with an int8 zero point"
    if isinstance(op.attrs, _WEIGHTED):
        axis = 3 if isinstance(op.attrs, ops.DepthwiseConv2D) else 0
        for tensor, along in zip(_constants(graph, op), (axis, 0), strict=True):
            q, channels = tensor.quant, tensor.shape[along]
            if q is None or q.zero_point != 0 or not _positive(q):
                return f"{tensor.name} has no positive symmetric scale"
            if q.scale.shape != (channels,) or q.axis != along:
                have = f"{len(q.scale)} scales along axis {q.axis}"
                return f"{tensor.name} has {have}, not {channels} along {along}"
    return None


def shapes(graph: Graph, op: Op) -> str | None:
    """The output's shape is the one that the operator computes; the batch dimension is written as 1."""
    inputs = [graph.tensors[name].shape for name in op.inputs]
    have = graph.tensors[op.outputs[0]].shape
    if have[:1] != (1,) or inputs[0][:1] != (1,):
        return f"the batch dimension of {list(inputs[0])} -> {list(have)} is not 1"
    try:
        wanted = _shape(op, inputs, have)
    except _WrongInputs as error:
        return str(error)
    return None if have == wanted else f"{op.outputs[0]} is {list(have)}, not {list(wanted)}"


def weights_symmetric(graph: Graph, op: Op) -> str | None:
    """Weights lie in [-127, 127]: XNNPACK's aarch64 depthwise kernel is wrong at -128."""
    if not graph.is_integer or not isinstance(op.attrs, _WEIGHTED):
        return None
    w = _constants(graph, op)[0]
    return f"{w.name} holds -128" if w.data is not None and (w.data == -128).any() else None


def bias_scale(graph: Graph, op: Op) -> str | None:
    """A bias has the scale of its accumulator: ``s_x * s_w[c]``."""
    if not graph.is_integer or not isinstance(op.attrs, _WEIGHTED):
        return None
    s_x, s_w, s_b = (_quant(graph, name).scale.astype(np.float64) for name in op.inputs)
    worst = float(np.abs(s_b / (s_x * s_w) - 1).max())
    return f"a bias scale is off by {worst:.1e} of itself" if worst > _SCALE_TOLERANCE else None


def act_is_saturation(graph: Graph, op: Op) -> str | None:
    """In int8, RELU and RELU6 have zero point -128; RELU6's range ends by 6: ``255 * scale <= 6``."""
    act = getattr(op.attrs, "act", "none")
    if not graph.is_integer or act == "none" or graph.is_int16(op):
        return None
    q = _quant(graph, op.outputs[0])
    if q.zero_point != -128:
        return f"{act} with zero point {q.zero_point}"
    if act == "relu6" and 255 * float(q.scale[0]) > 6 * (1 + _SCALE_TOLERANCE):
        return f"relu6 with a range up to {255 * float(q.scale[0]):.6f}"
    return None


def equal_scales(graph: Graph, op: Op) -> str | None:
    """MAX_POOL_2D, CONCATENATION and RESHAPE only move values: scales and zero points are all equal."""
    if not graph.is_integer or not isinstance(op.attrs, _EQUAL_SCALES):
        return None
    y = _quant(graph, op.outputs[0])
    for name in op.inputs:
        x = _quant(graph, name)
        if x.scale[0] != y.scale[0] or x.zero_point != y.zero_point:
            return f"{name} has {x.scale[0]:.9g}/{x.zero_point}, the output {y.scale[0]:.9g}/{y.zero_point}"
    return None


def int16_scales(graph: Graph, op: Op) -> str | None:
    """An ADD on int16 has three equal scales; QUANTIZE a whole ratio of scales, and to int8 equal ones."""
    if not graph.is_integer or not graph.is_int16(op):
        return None
    scales = [float(_quant(graph, t.name).scale[0]) for t in _activations(graph, op)]
    if isinstance(op.attrs, ops.Add) and len(set(scales)) > 1:
        return f"scales {scales}"
    if isinstance(op.attrs, ops.Quantize):
        q_x, q_y = _quant(graph, op.inputs[0]), _quant(graph, op.outputs[0])
        return None if numerics16.whole_ratio(q_x, q_y) else f"scales {scales}"
    return None


def window_fits(graph: Graph, op: Op) -> str | None:
    """Strides are at least 1, pads at least 0, and a pool's pads under its kernel: padding never wins."""
    if not isinstance(op.attrs, _SPATIAL):
        return None
    top, bottom, left, right = op.attrs.pads
    if min(op.attrs.stride) < 1 or min(op.attrs.pads) < 0:
        return f"stride {op.attrs.stride} and pads {op.attrs.pads}"
    if isinstance(op.attrs, ops.MaxPool2D):
        kernel = op.attrs.kernel
        if max(top, bottom) >= kernel[0] or max(left, right) >= kernel[1]:
            return f"pads {op.attrs.pads} of kernel {kernel}"
    return None


RULES: Mapping[str, Rule] = {
    rule.__name__: rule
    for rule in (
        inputs_exist,
        topological_order,
        constants_present,
        dtypes,
        window_fits,
        shapes,
        scales_present,
        weights_symmetric,
        bias_scale,
        act_is_saturation,
        equal_scales,
        int16_scales,
    )
}
"""In the order in which they are checked: later rules rely on earlier ones."""


def inexact(graph: Graph) -> tuple[tuple[str, str], ...]:
    """``(operator, reason and bound)`` of each operator that runtimes need not compute alike."""
    found = [(op.name, reason) for op in graph.ops for reason in _reasons(graph, op)]
    return tuple(found)


def _reasons(graph: Graph, op: Op) -> list[str]:
    attrs = op.attrs
    if not graph.is_integer:
        moved = isinstance(attrs, _EQUAL_SCALES)
        return [] if moved else ["float32 sums and functions differ in their last bits between runtimes"]
    q_y = _quant(graph, op.outputs[0])
    if graph.is_int16(op):
        return _reasons_int16(graph, op)
    if isinstance(attrs, ops.Add | ops.Mul):
        s_a, s_b = (_quant(graph, name).scale[0] for name in op.inputs)
        ratio = (numerics.odd_ratio if isinstance(attrs, ops.Add) else numerics.odd_ratio_mul)(
            s_a, s_b, q_y.scale[0]
        )
        if ratio is None:
            return [
                "no odd denominator: off by 1 in one of 10**5 values, one of 25 if ratios are powers of 2"
            ]
    reasons = []
    if isinstance(attrs, _WEIGHTED):
        q_x, q_w = _quant(graph, op.inputs[0]), _quant(graph, op.inputs[1])
        furthest = max(127 - q_x.zero_point, 128 + q_x.zero_point)
        worst = int(_largest_sums(graph, op, furthest).max(initial=0))
        if worst >= 2**31:
            reasons.append(f"the accumulator may reach {worst}, past int32: such values are undefined")
        largest = float(numerics.multiplier(q_x.scale, q_w.scale, q_y.scale).max())
        if largest >= _LARGEST_MULTIPLIER:
            reasons.append(
                f"multiplier {largest:.0f} >= 256: XNNPACK leaves the layer to kernels off by at most 5"
            )
    return reasons


def _reasons_int16(graph: Graph, op: Op) -> list[str]:
    if not isinstance(op.attrs, _WEIGHTED):
        return []
    steps = int((_largest_sums(graph, op, 2**15) * _multipliers_16(graph, op)).max(initial=0))
    narrowed = f"the output may reach {steps} steps before saturation: LiteRT narrows it to int32 first"
    return past_int16(graph, op) + ([narrowed] if steps >= numerics16.MAX_STEPS else [])


def past_int16(graph: Graph, op: Op) -> list[str]:
    """Why the rule of ``numerics16`` does not cover a weighted operator on int16."""
    worst = int(_largest_sums(graph, op, 2**15).max(initial=0))
    largest = float(_multipliers_16(graph, op).max())
    reasons = []
    if worst >= numerics16.MAX_SUM:
        reasons.append(f"the sum may reach {worst}, past 2**38, where a 15-bit multiplier is no longer exact")
    if largest >= numerics16.MAX_MULTIPLIER:
        reasons.append(f"multiplier {largest:.0f} >= 128: LiteRT shifts int64 sums by less")
    return reasons


def _multipliers_16(graph: Graph, op: Op) -> NDArray[np.float64]:
    return numerics16.multiplier_16(*(_quant(graph, n).scale for n in (*op.inputs[:2], op.outputs[0])))


def _largest_sums(graph: Graph, op: Op, furthest: int) -> NDArray[np.int64]:
    """What ``sum(x * w) + b`` may reach, by channel [C], for inputs of magnitude ``furthest``."""
    w, b = _constants(graph, op)
    assert w.data is not None and b.data is not None
    axis = 3 if isinstance(op.attrs, ops.DepthwiseConv2D) else 0
    channels_last = np.moveaxis(w.data.astype(np.int64), axis, -1)
    sums = np.abs(channels_last).reshape(-1, channels_last.shape[-1]).sum(0) * furthest
    return np.asarray(sums + np.abs(b.data.astype(np.int64)), np.int64)


class _WrongInputs(Exception):
    """Input shapes that an operator cannot take."""


def _shape(op: Op, inputs: list[tuple[int, ...]], have: tuple[int, ...]) -> tuple[int, ...]:
    """The output's shape; ``have`` decides only a RESHAPE, which must keep the number of values."""
    attrs, x = op.attrs, inputs[0]
    if isinstance(attrs, _SPATIAL):
        if len(x) != 4:
            raise _WrongInputs(f"{list(x)} is not [1,H,W,C]")
        kernel, channels = _kernel(attrs, x, inputs[1:])
        top, bottom, left, right = attrs.pads
        h, w = x[1] + top + bottom - kernel[0], x[2] + left + right - kernel[1]
        if h < 0 or w < 0:
            raise _WrongInputs(f"the kernel {kernel} is larger than the padded input {list(x)}")
        return 1, h // attrs.stride[0] + 1, w // attrs.stride[1] + 1, channels
    match attrs:
        case ops.FullyConnected():
            w_shape, b = inputs[1], inputs[2]
            if len(x) != 2 or len(w_shape) != 2 or w_shape[1] != x[1] or b != w_shape[:1]:
                raise _WrongInputs(f"x {list(x)}, w {list(w_shape)} and b {list(b)} do not fit")
            return 1, w_shape[0]
        case ops.Add():
            if inputs[1] != x:
                raise _WrongInputs(f"shapes {list(x)} and {list(inputs[1])} are not equal")
        case ops.Mul():
            if inputs[1] != x and (len(x) != 4 or inputs[1] != (1, 1, 1, x[3])):
                raise _WrongInputs(f"shapes {list(x)} and {list(inputs[1])} are neither equal nor a gate")
        case ops.Concat(axis):
            if not 0 < axis < len(x):
                raise _WrongInputs(f"axis {axis} of {list(x)}")
            if any(s[:axis] + s[axis + 1 :] != x[:axis] + x[axis + 1 :] for s in inputs):
                raise _WrongInputs(f"shapes {[list(s) for s in inputs]} differ outside axis {axis}")
            return (*x[:axis], sum(s[axis] for s in inputs), *x[axis + 1 :])
        case ops.Reshape():
            if math.prod(have) != math.prod(x):
                raise _WrongInputs(f"{math.prod(x)} values cannot become {math.prod(have)}")
            return have
        case ops.Table():
            if len(inputs) > 1 and inputs[1] != (256,):
                raise _WrongInputs(f"a table of {list(inputs[1])}, not [256]")
    return x


def _kernel(
    attrs: ops.Attrs, x: tuple[int, ...], constants: list[tuple[int, ...]]
) -> tuple[tuple[int, int], int]:
    """Kernel height and width, and output channels, of a convolution or pool on ``x``."""
    if isinstance(attrs, ops.MaxPool2D):
        return attrs.kernel, x[3]
    w, b = constants
    channels = w[3] if isinstance(attrs, ops.DepthwiseConv2D) else w[0]
    fits = len(w) == 4 and w[3] == x[3] and b == (channels,)
    if not fits or (isinstance(attrs, ops.DepthwiseConv2D) and w[0] != 1):
        raise _WrongInputs(f"x {list(x)}, w {list(w)} and b {list(b)} do not fit")
    return (w[1], w[2]), channels


def _constants(graph: Graph, op: Op) -> list[Tensor]:
    """Weights and bias, or the table."""
    if isinstance(op.attrs, _WEIGHTED) or (isinstance(op.attrs, ops.Table) and graph.is_integer):
        return [graph.tensors[name] for name in op.inputs[1:]]
    return []


def _activations(graph: Graph, op: Op) -> list[Tensor]:
    count = 1 if _constants(graph, op) else len(op.inputs)
    return [graph.tensors[name] for name in (*op.inputs[:count], *op.outputs)]


def _quant(graph: Graph, name: str) -> QParams:
    quant = graph.tensors[name].quant
    assert quant is not None, f"{name} has no scale"
    return quant


def _positive(q: QParams) -> bool:
    return bool(np.isfinite(q.scale).all() and (q.scale > 0).all())
