"""A float graph under construction from a torch.export trace, and how to read the trace's nodes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgedistill.errors import UnsupportedOpError
from edgedistill.ir import ops
from edgedistill.ir.graph import Op, Tensor

Array = NDArray[np.float32]


@dataclass
class Builder:
    """The graph under construction; ``names`` maps an fx node to the tensor it stands for."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    steps: list[Op] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    constants: dict[str, Array] = field(default_factory=dict)

    def x(self, node: torch.fx.Node, index: int = 0) -> Tensor:
        return self.tensors[self.names[argument(node, index).name]]

    def constant(self, node: torch.fx.Node, index: int, default: Array | None = None) -> Array:
        value = node.args[index] if index < len(node.args) else None
        if isinstance(value, torch.fx.Node):
            return self.constants[value.name]
        assert default is not None, f"{node.name}: argument {index} is no constant"
        return default

    def emit(
        self,
        node: torch.fx.Node,
        attrs: ops.Attrs,
        inputs: list[Tensor],
        shape: tuple[int, ...],
        **consts: Array,
    ) -> None:
        name = layer_of(node)
        for key, data in consts.items():
            inputs = [
                *inputs,
                Tensor(f"{node.name}.{key}", data.shape, "float32", data=data.astype(np.float32)),
            ]
        out = Tensor(node.name, shape, "float32")
        self.tensors.update({t.name: t for t in [*inputs, out]})
        taken = {op.name for op in self.steps}
        longer = f"{name}.{node.name}" if name != node.name else name
        candidates = (name, longer, *(f"{longer}.{i}" for i in range(1, len(taken) + 2)))
        self.steps.append(
            Op(
                next(n for n in candidates if n not in taken),
                attrs,
                tuple(t.name for t in inputs),
                (out.name,),
            )
        )
        self.names[node.name] = out.name

    def identity(
        self,
        node: torch.fx.Node,
        x: Tensor,
        scale: Array | None = None,
        shift: Array | None = None,
        **attrs: Any,
    ) -> None:
        """A 1x1 depthwise convolution: ``y = act(scale * x + shift)``."""
        channels = x.shape[-1]
        scale = np.ones(channels, np.float32) if scale is None else scale
        shift = np.zeros(channels, np.float32) if shift is None else shift
        learned = ops.DepthwiseConv2D(**attrs)
        n, h, w, c = x.shape
        top, bottom, left, right = learned.pads
        rows, columns = (
            (h + top + bottom - 1) // learned.stride[0] + 1,
            (w + left + right - 1) // learned.stride[1] + 1,
        )
        self.emit(node, learned, [x], (n, rows, columns, c), w=scale.reshape(1, 1, 1, -1), b=shift)


def argument(node: torch.fx.Node, index: int) -> torch.fx.Node:
    value = node.args[index]
    assert isinstance(value, torch.fx.Node), f"{node.name}: argument {index} is {value!r}"
    return value


def layer_of(node: torch.fx.Node) -> str:
    """The module path that a node came from, for messages and operator names."""
    stack = node.meta.get("nn_module_stack") or {}
    path = [str(entry[0]) for entry in stack.values() if entry[0]]
    return path[-1].replace("L['self'].", "") if path else node.name


def shape_of(node: torch.fx.Node) -> tuple[int, ...]:
    """NHWC shape of a node's value."""
    shape = tuple(int(n) for n in node.meta["val"].shape)
    return (shape[0], shape[2], shape[3], shape[1]) if len(shape) == 4 else shape


def refuse(node: torch.fx.Node, why: str, fix: str | None = None) -> UnsupportedOpError:
    return UnsupportedOpError(
        f"the student's layer {layer_of(node)!r} cannot be carried into the integer graph: {why}",
        where=f"{node.target} ({node.name})",
        fix=fix
        or "use convolutions, linear layers, BatchNorm, ReLU, ReLU6, pooling, addition, concatenation",
    )


def pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    values = [int(v) for v in value]
    return (values[0], values[0]) if len(values) == 1 else (values[0], values[1])


def ints(node: torch.fx.Node, index: int) -> list[int]:
    values = node.args[index]
    assert isinstance(values, list | tuple), f"{node.name}: argument {index} is {values!r}"
    return [v for v in values if isinstance(v, int)]


def optional(node: torch.fx.Node, index: int, default: Any) -> Any:
    return node.args[index] if index < len(node.args) else default


def flattened(trace: Builder, tensor: str) -> tuple[int, int, int] | None:
    """(H, W, C) of the image that [N, features] was flattened from, through elementwise operators."""
    op = next((op for op in trace.steps if tensor in op.outputs), None)
    if op is None or isinstance(op.attrs, ops.FullyConnected):
        return None
    if isinstance(op.attrs, ops.Reshape):
        _, h, w, c = trace.tensors[op.inputs[0]].shape
        return h, w, c
    return flattened(trace, op.inputs[0])
