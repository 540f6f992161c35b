"""What each step of a C program does, counted as its kernels loop; see export/c/kernels.

Counts are linear in instructions: a loop's body takes the same number each time. Three sets of kernels are
known, of the DSP instructions, of Helium vectors, and of plain C; each has counts of its own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, NamedTuple

from edgedistill.export.c import constants, layout
from edgedistill.export.c import steps as c_steps
from edgedistill.ir import ops
from edgedistill.ir.graph import Graph, Op
from edgedistill.ir.plan import Step
from edgedistill.sizing.work import ALONE, Work, windows
from edgedistill.target import Target

Kernels = Literal["dsp", "helium", "plain"]
Counts = dict[str, float]

_DSP_CORES = ("cortex-m4", "cortex-m7")  # which have the instructions without saying so
_POSITIONS: Mapping[Kernels, int] = {"dsp": 3, "helium": 3, "plain": 2}  # EDGE_POSITIONS


def kernels_of(device: Target) -> Kernels | None:
    """Which kernels a device's compiler takes; None: not one of those that are counted here."""
    has = device.features.value if device.features is not None else ()
    if device.cpu is None:
        return "plain" if device.isa.value == "x86-64" else None
    if "asimd" in has:
        return None  # NEON's are not
    if "mve" in has:
        return "helium"
    return "dsp" if "dsp" in has or device.cpu.value in _DSP_CORES else "plain"


def steps(graph: Graph, kernels: Kernels) -> tuple[Work, ...]:
    """Every step that runs; an int8 graph with any weights."""
    found = []
    for step in c_steps.steps(graph):
        kind = step.ops[-1].kind
        if kind != "RESHAPE":
            count = _COUNTS.get(kind)  # None: an operator that no model knows
            name, counts = (kind, {"calls": 1}) if count is None else count(graph, step, kernels)
            found.append(Work(tuple(op.name for op in step.ops), name, counts))
    calls = Counter(work.kernel for work in found)
    return tuple(
        Work(work.ops, work.kernel + ALONE, work.counts) if calls[work.kernel] == 1 else work
        for work in found
    )


def _conv(graph: Graph, step: Step, kernels: Kernels) -> tuple[str, Counts]:
    op = step.ops[0]
    if c_steps.is_dense(graph, op):
        return _dense(graph, step, kernels)
    assert isinstance(op.attrs, ops.Conv2D)
    x, w, y = (graph.tensors[name].shape for name in (op.inputs[0], op.inputs[1], op.outputs[0]))
    attrs = op.attrs
    shapes = _Conv(x[1:], w, y[1:], attrs.stride, (attrs.pads[0], attrs.pads[2]))
    counts = dict(_conv_counts(shapes, kernels))
    if len(step.ops) == 2:
        add = step.ops[1]
        kind = _add_kind(graph, op.outputs[0], c_steps.other_input(op, add), add)
        positions, each = y[1] * y[2], _POSITIONS[kernels]
        whole, rest = divmod(positions, each)
        counts["sums"] = whole + (rest > 0)
        for tile, times in ((each * y[3], whole), (rest * y[3], 1)):
            for name, value in _sum_counts(tile, kind, kernels).items():
                counts[name] = counts.get(name, 0) + times * value
    return "conv", counts


class _Conv(NamedTuple):
    """What of a convolution decides how its kernel loops."""

    x: tuple[int, ...]  # H, W, I
    w: tuple[int, ...]  # O, KH, KW, I
    y: tuple[int, ...]  # H', W', O
    stride: ops.Pair
    pads: ops.Pair  # top, left


@lru_cache(maxsize=65536)
def _conv_counts(conv: _Conv, kernels: Kernels) -> Mapping[str, float]:
    x, w, y, stride, _ = conv
    each = _POSITIONS[kernels]
    products = w[1] * w[2] * w[3]
    depth = -(-products // 4) * 4
    positions, outputs = y[0] * y[1], w[0]
    tiles = -(-positions // each)
    counts: Counts = {"calls": 1, "tiles": tiles}
    sixteens, fours = divmod(depth // 4, 4)
    if kernels == "helium":
        quads = tiles * -(-outputs // 4)
        counts |= {
            "four channels": quads,
            "four channels by sixteen products": quads * (depth // 16),
            "four channels by the rest": quads * (depth % 16 > 0),
            "four channels by loops": quads * (depth >= 16),
        }
    else:
        pairs = tiles * -(-outputs // 2)
        counts |= {"two channels": tiles * (outputs // 2), "last channels": tiles * (outputs % 2)}
        if kernels == "dsp":
            counts |= {"two channels by sixteen products": pairs * sixteens}
            counts |= {"two channels by four products": pairs * fours}
        else:
            counts |= {"two channels by four products": pairs * (depth // 4)}
    pointwise = products == depth == x[2] and stride == (1, 1) and x[:2] == y[:2]
    if pointwise and kernels == "helium":
        counts["tiles in place"] = tiles
    elif pointwise and kernels == "dsp":
        counts |= {"pixels": positions, "pixels by sixteen": positions * sixteens}
        counts["pixels by four"] = positions * fours
    else:
        counts |= _gather(conv, kernels, depth)
    return MappingProxyType(counts)


def _gather(conv: _Conv, kernels: Kernels, depth: int) -> Counts:
    """edge_gather: every window copied row by row, with the zero point where it leaves the input."""
    x, w, y, stride, pads = conv
    positions, channels = y[0] * y[1], x[2]
    rows = windows(x[0], y[0], w[1], stride[0], pads[0])
    columns = windows(x[1], y[1], w[2], stride[1], pads[1])
    inside = sum(last - first for first, last in rows)  # kernel's rows within the picture, of a column
    outside = y[0] * w[1] - inside
    copied, filled = Counter[int](), Counter[int]()  # bytes: how often
    for first, last in columns:
        if first == last:
            filled[w[2] * channels] += inside
            continue
        copied[(last - first) * channels] += inside
        for count in (first, w[2] - last):
            filled[count * channels] += inside
    filled[w[2] * channels] += outside * len(columns)
    rest = depth - w[1] * w[2] * channels
    words = kernels == "dsp"
    straddles = words and channels % 4 != 0
    stem = "loose " if straddles else ""
    fills = {count: times for count, times in filled.items() if count}
    counts: Counts = {
        f"{stem}windows": positions,
        f"{stem}rows": copied.total(),
        f"{stem}rows outside": outside * len(columns),
        f"{stem}fills": sum(fills.values()),
    }

    def summed(of: Mapping[int, int], each: Callable[[int], int]) -> int:
        return sum(times * each(count) for count, times in of.items())

    if kernels == "helium":
        counts["copies of sixteen"] = summed(copied, lambda n: n // 16)
        counts["rows by loops"] = summed(copied, lambda n: int(n >= 16))
        counts["fills of sixteen"] = summed(fills, lambda n: -(-n // 16)) + positions * (rest > 0)
    elif kernels == "plain":
        counts["bytes"] = summed(copied, lambda n: n)
        counts["bytes outside"] = summed(fills, lambda n: n)
        counts["fills at the end"] = positions * (rest > 0)
    elif straddles:
        counts["loose words"] = summed(copied, lambda n: n // 4)
        counts["loose bytes"] = summed(copied, lambda n: n % 4)
        counts["loose words outside"] = summed(fills, lambda n: n // 4)
        counts["loose bytes outside"] = summed(fills, lambda n: n % 4)
        counts["loose fills at the end"] = positions * (rest > 0)
        counts["loose sixteens"] = positions * (depth // 16)
        counts["loose fours"] = positions * (depth % 16 // 4)
    else:
        counts["sixteens"] = summed(copied, lambda n: n // 16)
        counts["fours"] = summed(copied, lambda n: n % 16 // 4)
        counts["fours outside"] = summed(fills, lambda n: n // 4)
    return counts


def _depthwise(graph: Graph, step: Step, kernels: Kernels) -> tuple[str, Counts]:
    op = step.ops[0]
    assert isinstance(op.attrs, ops.DepthwiseConv2D)
    x, w, y = (graph.tensors[name].shape for name in (op.inputs[0], op.inputs[1], op.outputs[0]))
    same = False  # learned weights differ, and before they are learned they may be anything
    if op.attrs.constant:
        rows = layout.rows(graph, op)
        same = bool((rows == rows[0]).all())
    pads = (op.attrs.pads[0], op.attrs.pads[2])
    plane = c_steps.plane(graph, op)
    return "depthwise", dict(
        _depthwise_counts(x[1:], w[1:3], y[1:3], op.attrs.stride, pads, plane, same, kernels)
    )


@lru_cache(maxsize=65536)
def _depthwise_counts(
    x: tuple[int, int, int],
    kernel: ops.Pair,
    y: ops.Pair,
    stride: ops.Pair,
    pads: ops.Pair,
    plane: ops.Pair,
    same: bool,
    kernels: Kernels,
) -> Mapping[str, float]:
    channels, taps = x[2], kernel[0] * kernel[1]
    first = min(pads[1], plane[1])
    width = max(min(x[1] + pads[1], plane[1]), first) - first  # of the picture, within the plane
    height = max(min(x[0] + pads[0], plane[0]), pads[0]) - pads[0]
    blocks = -(-channels // 4) if kernels == "helium" else channels
    prepared = 1 if same else blocks  # kernels laid out
    counts: Counts = {
        "calls": 1,
        "planes": blocks,
        "plane rows": blocks * height,
        "plane rows outside": blocks * (plane[0] - height),
        "value pairs": blocks * height * (width // 2),
        "odd values": blocks * height * (width % 2),
        "values outside": blocks * (plane[0] * plane[1] - height * width),
    }
    if kernels == "helium":
        loose = channels % 4
        groups = blocks * y[0] * -(-y[1] // 3)
        counts |= {
            "loose values": height * width * loose,
            "kernels": prepared,
            "taps": prepared * taps,
            "output rows": blocks * y[0],
            "three outputs": groups,
            "three outputs by rows": groups * kernel[0],
            "three outputs by taps": groups * taps,
            "outputs": blocks * y[0] * y[1],
        }
    elif kernels == "dsp":
        words = kernel[1] // 2 + 1
        counts |= {"kernels": prepared, "kernel rows": prepared * kernel[0]}
        counts |= {"kernel words": prepared * kernel[0] * words}
        if kernel[0] == 3 and kernel[1] // 2 == 1 and stride[1] <= 2:
            pairs = y[1] // 2 if stride[1] == 1 else 0
            counts |= {
                "planes of three": blocks,
                "output rows of three": blocks * y[0],
                "output pairs of three": blocks * y[0] * pairs,
                "outputs of three": blocks * y[0] * (y[1] - 2 * pairs),
            }
        else:
            starts = -(-y[1] // 2) if stride[1] == 1 else y[1]
            counts |= {
                "output rows": blocks * y[0],
                "windows": blocks * y[0] * starts,
                "windows by rows": blocks * y[0] * starts * kernel[0],
                "windows by words": blocks * y[0] * starts * kernel[0] * words,
                "second outputs": blocks * y[0] * (y[1] - starts),
            }
    else:
        outputs = blocks * y[0] * y[1]
        counts |= {
            "output rows": blocks * y[0],
            "outputs": outputs,
            "outputs by rows": outputs * kernel[0],
            "outputs by taps": outputs * taps,
        }
    return MappingProxyType(counts)


def _dense(graph: Graph, step: Step, kernels: Kernels) -> tuple[str, Counts]:
    op = step.ops[0]
    shape = graph.tensors[op.inputs[1]].shape
    inputs, outputs = math.prod(shape[1:]), shape[0]
    fours, single = divmod(outputs, 4)
    whole, rest = inputs - inputs % 4, inputs % 4
    counts: Counts = {
        "calls": 1,
        "four channels": fours,
        "four channels by rests": fours * (rest > 0),
        "four channels by the rest": fours * rest,
        "single channels": single,
        "single products": single * inputs,
    }
    if kernels == "helium":
        counts |= {"by sixteen": fours * (whole // 16), "by less than sixteen": fours * (whole % 16 > 0)}
    elif kernels == "dsp":
        counts |= {"by eight": fours * (whole // 8), "by four": fours * (whole % 8 // 4)}
    else:
        counts |= {"by four": fours * (whole // 4)}
    return "dense", counts


def _add(graph: Graph, step: Step, kernels: Kernels) -> tuple[str, Counts]:
    if len(step.ops) == 2:
        return _conv(graph, step, kernels)
    op = step.ops[0]
    kind = _add_kind(graph, op.inputs[0], op.inputs[1], op)
    count = math.prod(graph.tensors[op.outputs[0]].shape)
    return kind, {"calls": 1, **_sum_counts(count, kind, kernels)}


def _add_kind(graph: Graph, a: str, b: str, op: Op) -> str:
    exact = constants.add(*(layout.quant(graph, name) for name in (a, b, op.outputs[0])))
    return "add" if exact is not None else "float add"


def _sum_counts(count: int, kind: str, kernels: Kernels) -> Counts:
    if kernels == "helium":
        return {f"{kind} by four": -(-count // 4)}
    if kernels == "dsp" and kind == "add":
        return {"add by four": count // 4, "add of one": count % 4}
    return {f"{kind} of one": count}


def _mul(graph: Graph, step: Step, kernels: Kernels) -> tuple[str, Counts]:
    op = step.ops[0]
    exact = constants.mul(*(layout.quant(graph, name) for name in (*op.inputs, op.outputs[0])))
    values, period = (math.prod(graph.tensors[name].shape) for name in op.inputs)
    kind = "mul" if exact is not None else "float mul"
    return kind, {"calls": 1, "repeats": values // period, "values": values}


def _max_pool(graph: Graph, step: Step, kernels: Kernels) -> tuple[str, Counts]:
    op = step.ops[0]
    assert isinstance(op.attrs, ops.MaxPool2D)
    x, y = (graph.tensors[name].shape for name in (op.inputs[0], op.outputs[0]))
    (stride, kernel, pads) = op.attrs.stride, op.attrs.kernel, (op.attrs.pads[0], op.attrs.pads[2])
    inside = [
        sum(last - first for first, last in windows(x[i + 1], y[i + 1], kernel[i], stride[i], pads[i]))
        for i in (0, 1)
    ]
    positions, pixels = y[1] * y[2], inside[0] * inside[1]
    return "max_pool", {
        "calls": 1,
        "rows": y[1],
        "positions": positions,
        "outputs": positions * y[3],
        "window rows": inside[0] * y[2],
        "pixels": pixels,
        "values": pixels * y[3],
    }


def _concat(graph: Graph, step: Step, kernels: Kernels) -> tuple[str, Counts]:
    op = step.ops[0]
    assert isinstance(op.attrs, ops.Concat)
    shape = graph.tensors[op.outputs[0]].shape
    rows = math.prod(shape[: op.attrs.axis])
    return "copy", {
        "calls": len(op.inputs),
        "rows": rows * len(op.inputs),
        "values": math.prod(shape),
    }


def _table(graph: Graph, step: Step, kernels: Kernels) -> tuple[str, Counts]:
    return "table", {"calls": 1, "values": math.prod(graph.tensors[step.output].shape)}


_COUNTS: Mapping[str, Callable[[Graph, Step, Kernels], tuple[str, Counts]]] = MappingProxyType(
    {
        "CONV_2D": _conv,
        "DEPTHWISE_CONV_2D": _depthwise,
        "FULLY_CONNECTED": _dense,
        "ADD": _add,
        "MUL": _mul,
        "MAX_POOL_2D": _max_pool,
        "CONCATENATION": _concat,
        "TABLE": _table,
    }
)
"""By the kind of a step's last operator, as in export/c/operators.py."""
