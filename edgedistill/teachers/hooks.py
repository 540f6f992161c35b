"""Watches what layers of a torch module answer, through forward hooks: the module stays as it is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn


@contextlib.contextmanager
def watching(module: nn.Module, names: Sequence[str] | None) -> Iterator[dict[str, torch.Tensor]]:
    """Within the block every forward pass fills the dictionary, in the order of execution.

    A layer that runs several times leaves its last answer; one that answers with several tensors,
    the first. What a layer inside overwrites (``inplace=True``) is seen overwritten.

    Args:
        module: any network.
        names: of its layers, as ``named_modules`` has them; None: every layer.
    """
    seen: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(layer: nn.Module, inputs: object, output: object) -> None:
            tensor = _tensor(output)
            if tensor is not None:
                seen.pop(name, None)
                seen[name] = tensor

        return hook

    layers = {name: layer for name, layer in module.named_modules() if name}
    handles = [
        layers[name].register_forward_hook(keep(name)) for name in (layers if names is None else names)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _tensor(output: object) -> torch.Tensor | None:
    import torch

    if isinstance(output, Mapping):
        output = next(iter(output.values()), None)
    elif isinstance(output, tuple | list):
        output = output[0] if output else None
    return output if isinstance(output, torch.Tensor) and output.is_floating_point() else None
