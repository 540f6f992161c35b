"""torch.export to the float graph: each aten operator becomes legal operators, nothing is fused yet.

What has no operator of its own is written as a 1x1 depthwise convolution, which is always
legal: BatchNorm as an affine one, an activation as an identity that ends in it, padding as
an identity that pads. The passes then fold these into their neighbours.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from edgedistill.errors import UnsupportedOpError
from edgedistill.ir.graph import Graph, Tensor
from edgedistill.lower.aten import HANDLERS
from edgedistill.lower.builder import Builder, flattened, layer_of, refuse


def trace(
    net: nn.Module, input_shape: tuple[int, int, int], labels: tuple[str, ...] = (), name: str = "student"
) -> Graph:
    """The float graph of ``net`` in evaluation mode; ``input_shape`` is (H, W, C).

    Raises:
        UnsupportedOpError: a layer that the graph has no operator for (all such layers are named).
    """
    h, w, c = input_shape
    training = net.training
    try:
        program = torch.export.export(net.eval(), (torch.zeros(1, c, h, w),))
    except Exception as error:  # torch.export raises many kinds; each means the same to the user
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnsupportedOpError(
            f"torch.export cannot trace the student: {reason}",
            where=f"{type(net).__name__} on input [1, {c}, {h}, {w}]",
            fix="remove control flow that depends on values",
        ) from error
    finally:
        net.train(training)
    state: dict[str, Any] = {**program.state_dict, **program.constants}
    signature = program.graph_signature
    sources = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    result = Builder()
    outputs: list[str] = []
    unknown: list[str] = []
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in sources:
            result.constants[node.name] = state[sources[node.name]].detach().float().numpy()
        elif node.op == "placeholder":
            result.tensors["input"] = Tensor("input", (1, h, w, c), "float32")
            result.names[node.name] = "input"
        elif node.op == "call_function":
            key = str(node.target).removeprefix("aten.").split(".")[0]
            if key in HANDLERS and not unknown:
                HANDLERS[key](result, node)
            elif key not in HANDLERS:
                unknown.append(f"{layer_of(node)} ({node.target})")
        elif node.op == "output":
            if unknown:
                raise UnsupportedOpError(
                    "the integer graph has no operator for: " + ", ".join(unknown),
                    where=type(net).__name__,
                    fix=f"supported: {', '.join(sorted(HANDLERS))}",
                )
            outputs = [result.names[n.name] for n in node.args[0]]
            pixels = flattened(result, outputs[0]) if len(outputs) == 1 else None
            if len(outputs) != 1 or (pixels is not None and pixels[0] * pixels[1] > 1):
                raise refuse(
                    node,
                    f"{len(outputs)} outputs, or flattened pixels as output",
                    "end in one [N, classes] tensor",
                )
    used = {t for op in result.steps for t in (*op.inputs, *op.outputs)}
    tensors = {k: v for k, v in result.tensors.items() if k in used or k in outputs}
    return Graph(name, tensors, tuple(result.steps), ("input",), tuple(outputs), labels)
