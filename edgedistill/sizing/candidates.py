"""Judges untrained students: exact memory and MACs, predicted time and energy, and which limits they keep."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill import recipe as recipes
from edgedistill import students
from edgedistill.errors import InputError, UnsupportedOpError
from edgedistill.export import EXPORTERS, c
from edgedistill.export.metadata import Metadata
from edgedistill.ir import ops, plan
from edgedistill.ir.graph import Graph
from edgedistill.ir.interpret import Family
from edgedistill.recipe import Recipe
from edgedistill.runners.cortex_m.firmware import STACK_BYTES
from edgedistill.sized import Candidate, Prediction, Quantity
from edgedistill.sizing import accelerator, cost
from edgedistill.sizing.analytic import Score
from edgedistill.sizing.budget import PREDICTED, Budget
from edgedistill.sizing.c_constants import Program, constant_bytes, program
from edgedistill.sizing.flash import planned
from edgedistill.sizing.kernel_code import KernelCode
from edgedistill.sizing.space import narrower
from edgedistill.sizing.template import Structure, Template, outline, structure, template
from edgedistill.target import Format, Target

if TYPE_CHECKING:
    from torch import nn

Predict = Callable[[Graph, Target, str], tuple[Prediction, ...]]
"""What one inference takes (``cost.predict``)."""

_CHANNEL = 24  # bytes of kernel and bias: a float scale, a long zero point each (TFLite's schema.fbs)
_FILES: tuple[Format, ...] = ("onnx", "tflite")  # model files of one piece


@dataclass(frozen=True, eq=False)
class Judged:
    """A candidate and, of each limit, the share that it uses on the device where it uses most."""

    candidate: Candidate
    uses: Mapping[str, float]

    @property
    def load(self) -> float:
        """The share of the limit that it uses most of; above 1 it does not fit."""
        return max(self.uses.values(), default=0.0)

    @property
    def binding(self) -> str:
        """The limit that it uses most of."""
        return max(self.uses, key=lambda name: self.uses[name], default="")


@dataclass(eq=False)
class Judge:
    """Holds students against a budget; keeps what it traced and linked.

    Args:
        recipe: says formats, arithmetic family and compiler.
        devices: that one student has to fit.
        budget: their limits.
        image_shape: of the data, (H, W, C), where a spec names no resolution.
        labels: of the classes.
        score: ranks students, of the spec and the int8 graph, whose learned weights are zeros.
        predict: time and energy.
        code: bytes of C kernels.
    """

    recipe: Recipe
    devices: Sequence[Target]
    budget: Budget
    image_shape: tuple[int, int, int]
    labels: tuple[str, ...]
    score: Score
    predict: Predict = cost.predict
    code: KernelCode | None = None
    _templates: dict[tuple[Structure, tuple[int, int, int]], Template] = field(default_factory=dict)
    _programs: dict[Template, Program | None] = field(default_factory=dict)
    _overheads: dict[tuple[Template, tuple[Format, ...]], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.code is None:
            self.code = KernelCode(self.recipe.bench.cc, self.recipe.export.family)

    @property
    def traced(self) -> int:
        """How many networks were traced; all others were made from these."""
        return len(self._templates)

    @property
    def family(self) -> Family:
        return self.recipe.export.family

    def judge(self, student: str) -> Judged | None:
        """Of a spec; None: it cannot be built for this data, or computed or predicted for a device."""
        found = self._lowered(student)
        if found is None:
            return None
        graph, traced = found
        spec = students.parse(student)
        score = self.score(student, graph)
        memory: list[_Memory] = []
        uses: dict[str, float] = {}
        predictions: dict[Quantity, Prediction] = {}
        for device in self.devices:
            need = self._need(graph, traced, device)
            if need is None:
                return None
            memory.append(need)
            predicted = self.predict(graph, device, cost.runtime_of(device))
            needs = _needs(graph, need, predicted)
            for limit in self.budget.limits[device.name]:
                if limit.name not in needs:  # an operator that the device's cost model does not know
                    return None
                uses[limit.name] = max(needs[limit.name] / limit.value, uses.get(limit.name, 0.0))
            _keep_worst(predictions, predicted)
        candidate = Candidate(
            student=student,
            resolution=spec.resolution,
            score=score if math.isfinite(score) else None,
            parameters=plan.parameters(graph),
            macs=sum(plan.macs(graph).values()),
            weight_bytes=plan.weight_bytes(graph),
            arena_bytes=max(need.arena_bytes for need in memory),
            stack_bytes=max(need.stack_bytes for need in memory),
            flash_bytes=max(need.flash_bytes for need in memory),
            predictions=_in_order(predictions),
            misses=tuple(sorted(name for name, used in uses.items() if used > 1)),
        )
        return Judged(candidate, uses)

    def exact(self, judged: Judged) -> Judged:
        """The same with its files' own bytes: C is linked for each core, model files are written.

        Where a device has an Ethos-U, Vela foretells the latency, which takes about a second.
        """
        spec = students.parse(judged.candidate.student)
        shape = self._shape(spec)
        graph = template(_build(spec, len(self.labels), shape[2]), shape, self.labels).graph
        sizes, uses, exact = [], dict(judged.uses), True
        uses.pop("flash", None)
        predictions = {row.quantity: row for row in judged.candidate.predictions}
        for device in self.devices:
            _keep_worst(predictions, accelerator.predict(graph, device))
            if self._as_c(device):
                found = planned(graph, device, self.recipe.bench.cc, self.family)
                exact = exact and found is not None
                size = found.total_bytes if found is not None else judged.candidate.flash_bytes
            else:
                size = _file_bytes(graph, recipes.formats(self.recipe, device))
            sizes.append(size)
            for limit in self.budget.limits[device.name]:
                if limit.name == "flash":
                    uses["flash"] = max(uses.get("flash", 0.0), size / limit.value)
        changes = {
            "flash_bytes": max(sizes),
            "flash_exact": exact,
            "predictions": _in_order(predictions),
            "misses": tuple(sorted(name for name, used in uses.items() if used > 1)),
        }
        return Judged(judged.candidate.model_copy(update=changes), uses)

    def _shape(self, spec: students.StudentSpec) -> tuple[int, int, int]:
        side = spec.resolution
        return self.image_shape if side is None else (side, side, self.image_shape[2])

    def _lowered(self, student: str) -> tuple[Graph, Template] | None:
        """The int8 graph, and the traced one of the same structure; None: the network cannot be built."""
        spec = students.parse(student)
        shape = self._shape(spec)
        net = outline(lambda: spec.build(len(self.labels), shape[2]))
        key = (structure(net), shape)
        found = self._templates.get(key)
        if found is None or found.rigid:
            try:
                found = template(self._narrow(spec, key), shape, self.labels)
            except UnsupportedOpError:
                return None
            self._templates[key] = found
        return (found.graph if found.rigid else found.resized(net)), found

    def _narrow(self, spec: students.StudentSpec, key: tuple[Structure, tuple[int, int, int]]) -> nn.Module:
        """A network of the same structure with few channels, which is lowered and linked sooner."""
        classes, channels = len(self.labels), key[1][2]
        less = narrower(spec)
        if structure(outline(lambda: less.build(classes, channels))) == key[0]:
            return _build(less, classes, channels)
        return _build(spec, classes, channels)

    def _need(self, graph: Graph, traced: Template, device: Target) -> _Memory | None:
        as_c = self._as_c(device)
        arena = c.arena(graph, as_c=as_c).peak
        if not as_c:
            size = self._fixed(traced, device) + plan.weight_bytes(graph) + _CHANNEL * _channels(graph)
            return _Memory(arena, 0, size)
        found = self._program(traced)
        if found is None:
            return None
        assert self.code is not None
        code = self.code.of(found, traced.graph, device) or 0
        return _Memory(arena, STACK_BYTES, constant_bytes(graph) + found.structure_bytes + code)

    def _as_c(self, device: Target) -> bool:
        return "c" in recipes.formats(self.recipe, device)

    def _program(self, traced: Template) -> Program | None:
        if traced not in self._programs:
            try:
                self._programs[traced] = program(traced.graph, self.family)
            except InputError:
                self._programs[traced] = None
        return self._programs[traced]

    def _fixed(self, traced: Template, device: Target) -> int:
        """What a model file holds besides weights and scales; graphs of one structure have about the same."""
        graph, key = traced.graph, (traced, recipes.formats(self.recipe, device))
        if key not in self._overheads:
            size = _file_bytes(graph, key[1]) - plan.weight_bytes(graph)
            self._overheads[key] = size - _CHANNEL * _channels(graph)
        return self._overheads[key]


@dataclass(frozen=True)
class _Memory:
    arena_bytes: int
    stack_bytes: int
    flash_bytes: int


def _needs(graph: Graph, memory: _Memory, predicted: Sequence[Prediction]) -> dict[str, float]:
    """What a device has to give, by the names of limits; of predictions the upper end of the band."""
    return {
        "ram": memory.arena_bytes + memory.stack_bytes,
        "flash": memory.flash_bytes,
        "macs": sum(plan.macs(graph).values()),
        "weights": plan.weight_bytes(graph),
        **{row.quantity: row.high for row in predicted},
    }


def _keep_worst(found: dict[Quantity, Prediction], more: Sequence[Prediction]) -> None:
    """Of several devices' predictions of a quantity, the one with the highest end."""
    for row in more:
        kept = found.get(row.quantity)
        found[row.quantity] = row if kept is None or row.high > kept.high else kept


def _in_order(found: Mapping[Quantity, Prediction]) -> tuple[Prediction, ...]:
    return tuple(found[name] for name in PREDICTED if name in found)


def _channels(graph: Graph) -> int:
    weighted = (ops.Conv2D, ops.DepthwiseConv2D, ops.FullyConnected)
    return sum(graph.tensors[op.inputs[2]].shape[0] for op in graph.ops if isinstance(op.attrs, weighted))


def _build(spec: students.StudentSpec, classes: int, channels: int) -> nn.Module:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return spec.build(classes, channels)


def _file_bytes(graph: Graph, formats: Sequence[Format]) -> int:
    """Of the largest model file among the formats that have one; of the weights if none has."""
    meta = Metadata("planned", "", graph.labels, 1.0, 0, "0")
    sizes = [plan.weight_bytes(graph)]
    with tempfile.TemporaryDirectory() as folder:
        for name in _FILES:
            if name in formats:
                path = EXPORTERS[name].path(Path(folder))
                EXPORTERS[name].write(graph, meta, path)
                sizes.append(path.stat().st_size)
    return max(sizes)
