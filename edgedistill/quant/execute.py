"""The graph executed in torch: float, or int8 arithmetic that equals the interpreter bit for bit.

In int8 mode activations are float32 tensors that hold whole numbers ``c = q - zero_point``.
Sums of products stay below 2**24, where float32 is exact (larger layers use float64), and
requantisation is the deployed ``clamp(round_half_even(f32(acc) * M))``. What is in int16 is
summed in float64 and requantised by the rule of ``numerics16``. Gradients pass
through rounding unchanged and stop at saturation: the straight-through estimator
(Bengio et al. 2013; Jacob et al. 2018, section 3).

Legend: N batch, C channels, H height, W width; torch's NCHW inside, the graph's NHWC outside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from edgedistill.ir import ops
from edgedistill.ir.graph import Graph, Op, QParams
from edgedistill.ir.numerics import odd_ratio, odd_ratio_mul
from edgedistill.ir.numerics16 import limits_16, multiplier_16, whole_ratio
from edgedistill.quant.integer import BIAS_ROOM, LEAST_SCALE, channel_axis
from edgedistill.students.blocks import subsample

WEIGHTED = (ops.Conv2D, ops.DepthwiseConv2D, ops.FullyConnected)
_EXACT_FLOAT32 = 2**24


class _Round(torch.autograd.Function):
    """Rounds half to even; the gradient passes."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return torch.round(x)

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> Tensor:
        return grads[0]


def _round(x: Tensor) -> Tensor:
    return _Round.apply(x)  # type: ignore[no-any-return, no-untyped-call]


class _HalfUp(torch.autograd.Function):
    """Rounds half towards plus infinity; the gradient passes."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return torch.floor(x + 0.5)

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> Tensor:
        return grads[0]


class _Add(torch.autograd.Function):
    """(p_a * a + p_b * b) / q, which an odd q keeps off every half; gradients p_a / q and p_b / q."""

    @staticmethod
    def forward(ctx: object, a: Tensor, b: Tensor, p_a: int, p_b: int, q: int) -> Tensor:
        ctx.ratios = p_a / q, p_b / q  # type: ignore[attr-defined]
        return (p_a * a + p_b * b) / q

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        a, b = ctx.ratios  # type: ignore[attr-defined]
        return grads[0] * a, grads[0] * b, None, None, None


class GraphNet(nn.Module):
    """Executes a float graph; with ``qparams``, in the deployed int8 arithmetic.

    ``forward`` takes real input values [N, C, H, W] and gives real logits [N, classes].
    Learned weights and biases are parameters named after the operators. ``outputs`` holds an
    identity for each operator, on which a forward hook sees its values (in int8 mode ``c``).
    """

    def __init__(self, graph: Graph, qparams: Mapping[str, QParams] | None = None) -> None:
        super().__init__()
        self.graph = graph
        self.qparams = dict(qparams) if qparams is not None else None
        self.shown_qparams = self.qparams  # in whose steps hooks see values
        self.weights = nn.ParameterDict()
        self.outputs = nn.ModuleDict({f"{key(op.name)}/y": nn.Identity() for op in graph.ops})
        for op in graph.ops:
            if isinstance(op.attrs, WEIGHTED):
                learned = not ops.is_constant(op.attrs)
                for part, name in zip("wb", op.inputs[1:], strict=True):
                    data = torch.from_numpy(np.array(graph.tensors[name].data, np.float32))
                    if part == "w" and data.ndim == 4:
                        data = data.permute(0, 3, 1, 2) if channel_axis(op) == 0 else data.permute(3, 0, 1, 2)
                    self.weights[f"{key(op.name)}/{part}"] = nn.Parameter(
                        data.contiguous(), requires_grad=learned
                    )

    def forward(self, x: Tensor) -> Tensor:
        if self.qparams is not None:
            q = self.qparams[self.graph.inputs[0]]
            x = torch.clamp(_round(x / float(q.scale[0])), -128 - q.zero_point, 127 - q.zero_point)
        values: dict[str, Tensor] = {self.graph.inputs[0]: x}
        last_use = {name: i for i, op in enumerate(self.graph.ops) for name in op.inputs}
        for i, op in enumerate(self.graph.ops):
            step = self._float if self.qparams is None else self._integer
            y = step(op, [values[n] for n in op.inputs if n in values])
            values[op.outputs[0]] = self._shown(op, y)
            for name in op.inputs:
                if last_use[name] == i and name not in self.graph.outputs:
                    values.pop(name, None)
        y = values[self.graph.outputs[0]]
        return y if self.qparams is None else y * float(self.qparams[self.graph.outputs[0]].scale[0])

    def scale_of(self, output: str) -> float:
        """What the values at ``outputs.NAME`` are multiplied by to be real values."""
        op = next(op for op in self.graph.ops if output == f"outputs.{key(op.name)}/y")
        return 1.0 if self.shown_qparams is None else float(self.shown_qparams[op.outputs[0]].scale[0])

    def deployed(self) -> dict[str, QParams]:
        """int8 parameters of every activation, as ``to_integer`` takes them."""
        assert self.qparams is not None
        return self.qparams

    def weight_scales(self) -> dict[str, NDArray[np.float32]]:
        """float32 [O] by operators' names, where they are not ``integer.weight_scale``."""
        return {}

    def _shown(self, op: Op, y: Tensor) -> Tensor:
        """Lets hooks on ``outputs`` see the values, and hands them on."""
        shown: Tensor = self.outputs[f"{key(op.name)}/y"](y)
        return shown

    def trained(self) -> Graph:
        """The float graph with the present weights."""
        tensors = []
        for op in self.graph.ops:
            if isinstance(op.attrs, WEIGHTED):
                for part, name in zip("wb", op.inputs[1:], strict=True):
                    data = self.weights[f"{key(op.name)}/{part}"].detach().cpu()
                    if part == "w" and data.ndim == 4:
                        data = data.permute(0, 2, 3, 1) if channel_axis(op) == 0 else data.permute(1, 2, 3, 0)
                    tensors.append(
                        replace(self.graph.tensors[name], data=np.ascontiguousarray(data.numpy(), np.float32))
                    )
        return self.graph.with_tensors(*tensors)

    def _linear(self, op: Op, x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        attrs = op.attrs
        if isinstance(attrs, ops.FullyConnected):
            return F.linear(x, w, b)
        assert isinstance(attrs, ops.Conv2D | ops.DepthwiseConv2D)
        top, bottom, left, right = attrs.pads
        if top == bottom and left == right:
            padding = (top, left)
        else:
            x, padding = F.pad(x, (left, right, top, bottom)), (0, 0)
        groups = w.shape[0] if isinstance(attrs, ops.DepthwiseConv2D) else 1
        if w.shape[2:] == (1, 1) and attrs.stride != (1, 1) and padding == (0, 0):
            return F.conv2d(subsample(x, attrs.stride), w, b, groups=groups)
        return F.conv2d(x, w, b, attrs.stride, padding, groups=groups)

    def _parameters_of(self, op: Op) -> tuple[Tensor, Tensor]:
        return self.weights[f"{key(op.name)}/w"], self.weights[f"{key(op.name)}/b"]

    def _float(self, op: Op, x: list[Tensor]) -> Tensor:
        attrs = op.attrs
        if isinstance(attrs, WEIGHTED):
            y = self._linear(op, x[0], *self._parameters_of(op))
        elif isinstance(attrs, ops.Add):
            y = x[0] + x[1]
        elif isinstance(attrs, ops.Mul):
            y = x[0] * x[1]
        elif isinstance(attrs, ops.Table):
            y = _function(attrs, x[0])
        else:
            y = _move(attrs, x)
        act = getattr(attrs, "act", "none")
        return F.relu(y) if act == "relu" else F.relu6(y) if act == "relu6" else y

    def _integer(self, op: Op, x: list[Tensor]) -> Tensor:
        assert self.qparams is not None
        attrs, q_y = op.attrs, self.qparams[op.outputs[0]]
        if isinstance(attrs, ops.Quantize):
            times = whole_ratio(self.qparams[op.inputs[0]], q_y)
            assert times is not None, f"{op.name}: no whole ratio of scales"
            return torch.clamp(x[0] * times, *_ends(q_y))
        if q_y.bits == 16 and not isinstance(attrs, ops.Reshape):
            return self._int16(op, x, q_y)
        if isinstance(attrs, WEIGHTED):
            return self._saturated(op, self._requantised(op, x[0], q_y), q_y)
        if isinstance(attrs, ops.Add | ops.Mul):
            scales = [self.qparams[n].scale[0] for n in op.inputs]
            if isinstance(attrs, ops.Add):
                ratio = odd_ratio(scales[0], scales[1], q_y.scale[0])
                assert ratio is not None, f"{op.name}: scales without an odd ratio"
                return self._saturated(op, _Add.apply(x[0], x[1], *ratio), q_y)  # type: ignore[no-untyped-call]
            pair = odd_ratio_mul(scales[0], scales[1], q_y.scale[0])
            assert pair is not None, f"{op.name}: scales without an odd ratio"
            return self._saturated(op, x[0].double() * x[1] * pair[0] / pair[1], q_y)
        if isinstance(attrs, ops.Table):
            q_x = self.qparams[op.inputs[0]]
            real = _function(attrs, x[0].double() * float(q_x.scale[0])) / float(q_y.scale[0])
            return self._saturated(op, real, q_y)
        return _move(attrs, x)

    def _saturated(self, op: Op, steps: Tensor, q_y: QParams) -> Tensor:
        """``c`` of the operator's exact result, given in steps of its scale (float32 or float64)."""
        return torch.clamp(_round(steps).float(), *_ends(q_y))

    def _int16(self, op: Op, x: list[Tensor], q_y: QParams) -> Tensor:
        """Operators on int16: exact sums in float64, rounded half up."""
        assert self.qparams is not None and isinstance(op.attrs, (*WEIGHTED, ops.Add))
        if isinstance(op.attrs, ops.Add):
            steps = x[0] + x[1]
        else:
            s_x = torch.from_numpy(self.qparams[op.inputs[0]].scale).to(x[0].device)
            w_int, b_int, s_w = self._whole(op, s_x)
            m = torch.from_numpy(multiplier_16(s_x.cpu().numpy(), s_w.detach().cpu().numpy(), q_y.scale)).to(
                x[0].device
            )
            acc = self._linear(op, x[0].double(), w_int.double(), b_int)
            steps = _HalfUp.apply(acc * (m.view(1, -1, 1, 1) if acc.ndim == 4 else m)).float()  # type: ignore[no-untyped-call]
        return torch.clamp(steps, *limits_16(q_y, op.attrs.act))

    def _requantised(self, op: Op, x: Tensor, q_y: QParams) -> Tensor:
        """f32(acc) * M, before rounding."""
        assert self.qparams is not None
        s_x, s_y = (torch.from_numpy(q.scale).to(x.device) for q in (self.qparams[op.inputs[0]], q_y))
        w_int, b_int, s_w = self._whole(op, s_x)
        multiplier = s_x * s_w / s_y
        bound = w_int[0].numel() * 127 * 255 + float(b_int.detach().abs().max())
        if bound < _EXACT_FLOAT32:
            acc = self._linear(op, x, w_int, b_int.float())
        else:
            acc = self._linear(op, x.double(), w_int.double(), b_int).float()
        return acc * (multiplier.view(1, -1, 1, 1) if acc.ndim == 4 else multiplier)

    def _whole(self, op: Op, s_x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """int8 weights as float32, int32 biases as float64, and the weights' scales [C]."""
        w, b = self._parameters_of(op)
        with torch.no_grad():
            s_w = torch.clamp_min(w.abs().flatten(1).amax(1) / 127, float(LEAST_SCALE))
            s_w = roomy(s_w, b, s_x)
            s_b = s_x * s_w
        w_int = torch.clamp(_round(w / s_w.view(-1, *[1] * (w.ndim - 1))), -127, 127)
        return w_int, whole_bias(b, s_b), s_w


class Shadow(GraphNet):
    """A finished integer graph with gradients to its input: what it answers is what the graph answers."""

    def __init__(self, integer: Graph) -> None:
        quants = {name: integer.tensors[name].quant for name in integer.activations()}
        super().__init__(integer, {name: quant for name, quant in quants.items() if quant is not None})
        self.requires_grad_(False)

    def _whole(self, op: Op, s_x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        w, b = (self.graph.tensors[name] for name in op.inputs[1:])
        assert w.quant is not None and b.data is not None
        bias = torch.from_numpy(b.data.astype(np.float64))  # float32 would round large ones
        return self._parameters_of(op)[0], bias, torch.from_numpy(w.quant.scale)


def _ends(q: QParams) -> tuple[int, int]:
    """The lowest and highest ``c``."""
    half = 2 ** (q.bits - 1)
    return -half - q.zero_point, half - 1 - q.zero_point


def roomy(s_w: Tensor, b: Tensor, s_x: Tensor) -> Tensor:
    """``integer.roomy``, to the bit."""
    return torch.maximum(s_w, b.detach().abs() / (s_x * float(BIAS_ROOM)))


def whole_bias(b: Tensor, s_b: Tensor) -> Tensor:
    """int32 biases [O] as float64, of scales ``s_b`` [O]; the gradient passes the rounding."""
    return _round(b.double() / s_b.double())


def key(name: str) -> str:
    """Of an operator or tensor in a ParameterDict, whose keys must not hold dots."""
    return name.replace(".", "/")


def _move(attrs: ops.Attrs, x: list[Tensor]) -> Tensor:
    """Operators that only move values."""
    if isinstance(attrs, ops.Quantize):
        return x[0]
    if isinstance(attrs, ops.Reshape):
        return x[0].permute(0, 2, 3, 1).flatten(1)
    if isinstance(attrs, ops.Concat):
        return torch.cat(x, 1)
    assert isinstance(attrs, ops.MaxPool2D), attrs
    top, bottom, left, right = attrs.pads
    padded = F.pad(x[0], (left, right, top, bottom), value=float("-inf")) if any(attrs.pads) else x[0]
    return F.max_pool2d(padded, attrs.kernel, attrs.stride)


def _function(attrs: ops.Table, x: Tensor) -> Tensor:
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "gelu": F.gelu,
        "silu": F.silu,
        "hardswish": F.hardswish,
        "hardsigmoid": F.hardsigmoid,
    }
    if attrs.fn == "elu":
        return F.elu(x, attrs.alpha)
    if attrs.fn == "leaky_relu":
        return F.leaky_relu(x, attrs.alpha)
    return functions[attrs.fn](x)
