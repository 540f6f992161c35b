"""Chooses the number format of a training: bf16 where the processor computes in it and gains by it."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import torch
from torch import Tensor, nn

ATTEMPTS = 5  # of which the fastest counts: other processes only ever slow a step down
GAIN = 0.9  # of float32's time that bf16 may take at most


def autocast(precision: str, device: str = "cpu") -> contextlib.AbstractContextManager[Any]:
    """The context in which a forward pass computes; ``device`` is a type of torch's."""
    return torch.autocast(device, torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()


def computes_bf16() -> bool:
    """Whether this processor has bf16 instructions (AVX-512 BF16, AMX, Arm's BF16); others emulate it."""
    capabilities = torch.cpu.get_capabilities()
    return any(there is True and "bf16" in name for name, there in capabilities.items())


def choose(net: nn.Module, x: Tensor) -> str:
    """bf16 or float32, by the fastest of a few steps each; ``net`` keeps its values.

    A processor without bf16 instructions is not timed: it would take ten times as long, and a
    timing on a busy machine can be wrong, which would change the training's bits. A GPU is not either:
    there bf16 is used where a recipe says so.
    """
    if x.device.type != "cpu" or not computes_bf16():
        return "float32"
    kept = {name: value.clone() for name, value in net.state_dict().items()}
    fastest = {
        precision: min(_step_s(net, x, precision) for _ in range(ATTEMPTS))
        for precision in ("float32", "bf16")
    }
    net.zero_grad(set_to_none=True)
    net.load_state_dict(kept)
    return "bf16" if fastest["bf16"] < GAIN * fastest["float32"] else "float32"


def _step_s(net: nn.Module, x: Tensor, precision: str) -> float:
    started = time.perf_counter()
    with autocast(precision):
        loss = net(x).float().square().mean()
    loss.backward()
    return time.perf_counter() - started
