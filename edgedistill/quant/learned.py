"""Learned step sizes: the int8 arithmetic whose scales are trained along with the weights (LSQ, LSQ+).

Every activation between which values are only moved shares one scale; weights have one per output
channel. Before each pass the wished scales are brought to what the integer contract allows
(``ranges.snapped``), and the gradient passes that step unchanged: what is trained is what is deployed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgedistill.ir import ops
from edgedistill.ir.graph import Graph, Op, QParams
from edgedistill.quant import ranges
from edgedistill.quant.execute import WEIGHTED, GraphNet, key, roomy, whole_bias
from edgedistill.quant.integer import LEAST_SCALE

_LEAST_SCALE = ranges.LEAST_RANGE / 255  # of an activation
_LEAST_WEIGHT_SCALE = float(LEAST_SCALE)


class Quantise(torch.autograd.Function):
    """``c = clamp(round(v / s), low, high)`` for ``v`` in steps of ``s``, with the gradient of the step size.

    Of the quantised value ``s c`` the derivative by ``s`` is ``c - v / s`` between the ends, and ``low`` or
    ``high`` beyond them (Esser et al. 2020, LSQ, equation 3). With a learned real value of the lowest code
    minus its 128 steps, ``start`` (the offset beta of Bhalgat et al. 2020, LSQ+, equations 4 and 5), it is
    ``-128`` or ``127`` beyond the ends, and the derivative by ``start`` is 0 between them and 1 beyond.
    A value within half a step of an end counts as between them, as in ``GraphNet``.
    """

    @staticmethod
    def forward(
        ctx: Any, steps: Tensor, scale: Tensor, start: Tensor | None, low: int, high: int, factor: float
    ) -> Tensor:
        """steps [O or N, ...]; scale [1], or [O] along the first axis; ``factor`` multiplies their gradients.

        ``start`` [1] is for activations alone: ``low`` is then -128 minus the zero point.
        """
        rounded = torch.round(steps).float()
        c = torch.clamp(rounded, low, high)
        ctx.save_for_backward(steps, scale, c, rounded == c)
        ctx.offset = None if start is None else -128 - low  # codes are c + zero point
        ctx.factor = factor
        return c

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of ``steps``, ``scale`` and ``start``."""
        steps, scale, c, inside = ctx.saved_tensors
        grad = grads[0]
        beyond = c if ctx.offset is None else c + ctx.offset
        by_scale = grad * torch.where(inside, c - steps.float(), beyond)
        summed = by_scale.flatten(1).sum(1) if len(scale) > 1 else by_scale.sum().view(1)
        by_start = None
        if ctx.offset is not None:
            by_start = torch.where(inside, 0.0, grad).sum().view(1) / scale * ctx.factor
        return (grad * inside).to(steps.dtype), summed / scale * ctx.factor, by_start, None, None, None


class LearnedGraphNet(GraphNet):
    """A ``GraphNet`` in int8 whose scales are parameters; it starts where the given ones are.

    ``scales`` holds one value for each group of activations, ``starts`` one for each group that does not
    end in a ReLU (whose lowest code is zero by rule), ``steps`` the weights' per output channel. The
    network's input keeps its scale. Gradients are multiplied by ``1 / sqrt(N Q)``, N the features of an
    example or the weights of a channel, Q the highest code (LSQ, section 2.2).
    """

    def __init__(self, graph: Graph, qparams: Mapping[str, QParams]) -> None:
        super().__init__(graph, qparams)
        self._groups = ranges.moved(graph)
        self._fixed = {name: q for name, q in qparams.items() if set(self._groups[name]) & set(graph.inputs)}
        self._members: dict[str, list[str]] = {}  # by slot, the activations that share a scale
        self._largest: dict[str, float] = {}  # by slot, where a rule bounds a scale from above
        self.scales, self.starts, self.steps = (nn.ParameterDict() for _ in range(3))
        for name in graph.activations():
            group = self._groups[name]
            if name in self._fixed or name != group[0]:
                continue
            slot, scale, zero_point = _slot(name), float(qparams[name].scale[0]), qparams[name].zero_point
            self._members[slot] = group
            self.scales[slot] = nn.Parameter(torch.tensor([scale]))
            acts = {getattr(op.attrs, "act", "none") for op in graph.ops if op.outputs[0] in group}
            if acts <= {"none"}:
                self.starts[slot] = nn.Parameter(torch.tensor([-zero_point * scale]))
            if "relu6" in acts:
                self._largest[slot] = float(ranges.qparams_of(0.0, 6.0, "relu6").scale[0])
        for op in graph.ops:
            if isinstance(op.attrs, WEIGHTED) and not ops.is_constant(op.attrs):
                self.steps[_slot(op.name)] = nn.Parameter(super()._whole(op, torch.ones(1))[2])

    def forward(self, x: Tensor) -> Tensor:
        """Real input values [N, C, H, W] to real logits, with the scales that would be deployed now."""
        if self.training:
            self._project()
        self.qparams = self.deployed()
        return super().forward(x)

    def deployed(self) -> dict[str, QParams]:
        """int8 parameters of every activation, by every rule of the integer contract."""
        wished = dict(self._fixed)
        for slot, members in self._members.items():
            scale = min(max(self.scales[slot].item(), _LEAST_SCALE), self._largest.get(slot, math.inf))
            zero_point = -128
            if slot in self.starts:
                zero_point = min(max(round(-self.starts[slot].item() / scale), -128), 127)
            wished.update(dict.fromkeys(members, QParams(np.array([scale], np.float32), zero_point)))
        return ranges.snapped(self.graph, wished, self._groups)

    def weight_scales(self) -> dict[str, NDArray[np.float32]]:
        """float32 [O] by operators' names."""
        learned = {
            op.name: self.steps[_slot(op.name)] for op in self.graph.ops if _slot(op.name) in self.steps
        }
        return {name: _positive(scale).detach().cpu().numpy() for name, scale in learned.items()}

    @torch.no_grad()
    def _project(self) -> None:
        """Keeps parameters where the rules let them act, so that none drifts out of reach of its gradient."""
        for slot, scale in self.scales.items():
            scale.clamp_(_LEAST_SCALE, self._largest.get(slot, math.inf))
        for slot, start in self.starts.items():
            start.clamp_(-127 * self.scales[slot], 128 * self.scales[slot])
        for scale in self.steps.values():
            scale.clamp_(min=_LEAST_WEIGHT_SCALE)

    def _saturated(self, op: Op, steps: Tensor, q_y: QParams) -> Tensor:
        slot = _slot(self._groups[op.outputs[0]][0])
        if slot not in self.scales:
            return super()._saturated(op, steps, q_y)
        scale, start = self.scales[slot], self.starts.get(slot, None)
        snapped = torch.from_numpy(q_y.scale).to(scale.device)
        scale = scale + (snapped - scale).detach()  # the gradient passes the snap
        factor = 1 / math.sqrt(steps[0].numel() * (255 if start is None else 127))
        low, high = -128 - q_y.zero_point, 127 - q_y.zero_point
        return _quantise(steps, scale, start, low, high, factor)

    def _whole(self, op: Op, s_x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if _slot(op.name) not in self.steps:
            return super()._whole(op, s_x)
        w, b = self._parameters_of(op)
        scale = _positive(self.steps[_slot(op.name)])
        fixed = roomy(scale.detach(), b, s_x)
        factor = 1 / math.sqrt(w[0].numel() * 127)
        steps = w / fixed.view(-1, *[1] * (w.ndim - 1))
        w_int = _quantise(steps, scale, None, -127, 127, factor)
        return w_int, whole_bias(b, s_x * fixed), fixed

    def _shown(self, op: Op, y: Tensor) -> Tensor:
        """Hooks see values in steps of the first scale, by which ``scale_of`` multiplies."""
        tap = self.outputs[f"{key(op.name)}/y"]
        if tap._forward_hooks:
            assert self.qparams is not None and self.shown_qparams is not None
            name = op.outputs[0]
            tap(y * float(self.qparams[name].scale[0] / self.shown_qparams[name].scale[0]))
        return y


def _slot(name: str) -> str:
    """Of a tensor or operator in a ParameterDict, where a bare "values" would hide a method."""
    return f"{key(name)}/s"


def _positive(scale: Tensor) -> Tensor:
    """At least the least scale; the gradient passes."""
    return scale + (scale.clamp_min(_LEAST_WEIGHT_SCALE) - scale).detach()


def _quantise(
    steps: Tensor, scale: Tensor, start: Tensor | None, low: int, high: int, factor: float
) -> Tensor:
    return Quantise.apply(steps, scale, start, low, high, factor)  # type: ignore[no-any-return, no-untyped-call]
