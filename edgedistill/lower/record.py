"""Records a forward pass as torch.export traces it, in a twentieth of the time, for layers of our students.

What it does not know it leaves to torch.export: see ``lower.student``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from edgedistill.ir.graph import Graph
from edgedistill.ir.graph import Tensor as Value
from edgedistill.lower.aten import HANDLERS
from edgedistill.lower.builder import Builder

Args = tuple[Any, ...]
Calls = tuple[tuple[str, Args], ...]
"""Aten operators of HANDLERS, each with its arguments in aten's order."""

_BEFORE = object()  # an argument: what the call before gave


class Unrecorded(Exception):
    """A function that the table of calls does not know."""


def record(net: nn.Module, input_shape: tuple[int, int, int], labels: tuple[str, ...], name: str) -> Graph:
    """The float graph of ``net`` in evaluation mode, equal to ``trace``'s; ``input_shape`` is (H, W, C).

    Raises:
        Unrecorded: the network calls what the table does not know, or has several outputs.
        UnsupportedOpError: as ``trace``.
    """
    training, recorder = net.training, _Recorder(net, input_shape)
    hooks = [
        hook
        for path, module in net.named_modules()
        for hook in (
            module.register_forward_pre_hook(lambda _, __, path=path: recorder.stack.append(path)),
            module.register_forward_hook(lambda *_: (recorder.stack.pop(), None)[1]),
        )
    ]
    try:
        with torch.no_grad(), recorder:
            answer = net.eval()(recorder.input)
    finally:
        for hook in hooks:
            hook.remove()
        net.train(training)
    if not isinstance(answer, Tensor) or answer.dim() != 2:
        raise Unrecorded("the answer is not one tensor [N, classes]")
    result = recorder.builder
    output = result.names[recorder.node_of(answer).name]
    used = {tensor for op in result.steps for tensor in (*op.inputs, *op.outputs)}
    tensors = {key: value for key, value in result.tensors.items() if key in used or key == output}
    return Graph(name, tensors, tuple(result.steps), ("input",), (output,), labels)


class _Recorder(TorchFunctionMode):
    """Hands each call of a torch function to the graph's builder, as the node that export would have."""

    def __init__(self, net: nn.Module, input_shape: tuple[int, int, int]) -> None:
        super().__init__()
        h, w, c = input_shape
        self.input = torch.zeros(1, c, h, w)
        self.builder, self.stack = Builder(), list[str]()
        self._graph = torch.fx.Graph()
        self._nodes: dict[int, tuple[torch.fx.Node, Tensor]] = {}  # the tensors live on: no id comes twice
        x = self._graph.create_node("placeholder", "x", name="x")
        self._nodes[id(self.input)] = (x, self.input)
        self.builder.tensors["input"] = Value("input", (1, h, w, c), "float32")
        self.builder.names[x.name] = "input"
        for number, value in enumerate([*net.parameters(), *net.buffers()]):
            node = self._graph.create_node("placeholder", f"p_{number}", name=f"p_{number}")
            self._nodes[id(value)] = (node, value)
            self.builder.constants[node.name] = value.detach().float().numpy()

    def node_of(self, value: Tensor) -> torch.fx.Node:
        if id(value) not in self._nodes:
            raise Unrecorded("a tensor from elsewhere")
        return self._nodes[id(value)][0]

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        answer = function(*args, **(kwargs or {}))
        if not isinstance(answer, Tensor) or id(answer) in self._nodes:
            return answer
        if function not in _CALLS:
            raise Unrecorded(str(function))
        try:
            calls = _CALLS[function](*args, **(kwargs or {}))
        except TypeError as error:  # an argument that the table does not know
            raise Unrecorded(str(error)) from error
        previous = None
        for key, values in calls:
            arguments = tuple(
                previous if v is _BEFORE else self.node_of(v) if isinstance(v, Tensor) else v for v in values
            )
            node = self._graph.create_node("call_function", function, arguments, {}, name=key)
            node.meta["val"] = answer
            node.meta["nn_module_stack"] = {"": (self.stack[-1], None)} if self.stack else {}
            HANDLERS[key](self.builder, node)
            previous = node
        assert previous is not None
        self._nodes[id(answer)] = (previous, answer)
        return answer


def _conv2d(x: Tensor, w: Tensor, b: Any = None, *rest: Any, **named: Any) -> Calls:
    names = ("stride", "padding", "dilation", "groups")
    given = {**dict(zip(names, (1, 0, 1, 1), strict=True)), **dict(zip(names, rest, strict=False)), **named}
    return (("conv2d", (x, w, b, *(given[name] for name in names))),)


def _batch_norm(
    x: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Calls:
    return (("batch_norm", (x, weight, bias, running_mean, running_var, training, momentum, eps, True)),)


def _pad(x: Tensor, widths: Any, mode: str = "constant", value: Any = None) -> Calls:
    if mode != "constant" or value:
        raise Unrecorded("padding that is not zeros")
    return (("pad", (x, list(widths))),)


def _subsample(x: Tensor, index: Any) -> Calls:
    """``x[:, :, ::s, ::s]``."""
    plain = isinstance(index, tuple) and len(index) == 4 and all(isinstance(part, slice) for part in index)
    if not plain or any(part.start is not None or part.stop is not None for part in index):
        raise Unrecorded("an index that is no subsampling")
    if any(part.step not in (None, 1) for part in index[:2]):
        raise Unrecorded("a subsampling of channels")
    return ("slice", (x, 2, None, None, index[2].step)), ("slice", (_BEFORE, 3, None, None, index[3].step))


_CALLS: Mapping[Any, Callable[..., Calls]] = {
    torch.conv2d: _conv2d,
    F.batch_norm: _batch_norm,
    F.relu: lambda x, inplace=False: (("relu", (x,)),),
    F.hardtanh: lambda x, min_val=-1.0, max_val=1.0, inplace=False: (("hardtanh", (x, min_val, max_val)),),
    F.pad: _pad,
    F.adaptive_avg_pool2d: lambda x, size: (("adaptive_avg_pool2d", (x, size)),),
    F.linear: lambda x, w, b=None: (("linear", (x, w, b)),),
    Tensor.add: lambda a, b: (("add", (a, b)),),
    torch.add: lambda a, b: (("add", (a, b)),),
    Tensor.flatten: lambda x, *_: (("flatten", (x, 1)),),
    Tensor.__getitem__: _subsample,
    torch.flatten: lambda x, *_: (("flatten", (x, 1)),),
}
"""What the functions that students call are in aten."""
