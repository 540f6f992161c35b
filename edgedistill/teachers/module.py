"""Makes a teacher of a torch module, wherever it came from; also the kind module:callable."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from edgedistill.data import callables
from edgedistill.errors import TeacherError
from edgedistill.teachers.hooks import watching
from edgedistill.teachers.loaded import Array, Forward, Inside, Loaded, Request

if TYPE_CHECKING:
    import torch
    from torch import nn


def load(request: Request) -> Loaded:
    """module:callable, a function that returns an nn.Module with its weights already in it."""
    module = build(request.body, request.classes, where=f"teacher {request.spec}")
    return from_module(module, request.body.rpartition(":")[2], request.body)


def build(spec: str, classes: int, *, where: str) -> nn.Module:
    """Calls ``spec``; the number of classes is passed where it takes ``num_classes`` or ``classes``."""
    from torch import nn

    made = callables.find(spec, TeacherError, where=where)
    try:
        taken = inspect.signature(made).parameters
    except (TypeError, ValueError):
        taken = {}  # type: ignore[assignment]  # a builtin without a signature
    arguments = {name: classes for name in ("num_classes", "classes") if name in taken}
    try:
        module = made(**arguments)
    except Exception as cause:  # the user's own code runs here: whatever it raises is told as its fault
        raise TeacherError(
            f"calling {spec} failed: {type(cause).__name__}: {cause}",
            where=where,
            fix="it is called with num_classes or classes if it takes them, and nothing else",
        ) from cause
    if not isinstance(module, nn.Module):
        raise TeacherError(
            f"{spec} returned a {type(module).__name__}", where=where, fix="return a torch.nn.Module"
        )
    return module


def from_module(
    module: nn.Module,
    name: str,
    architecture: str,
    *,
    channels: int | None = None,
    size: tuple[int, int] | None = None,
    mean_std: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
    notes: tuple[str, ...] = (),
) -> Loaded:
    """``architecture`` is the text that goes into the fingerprint beside the weights."""
    module = module.eval()
    inside = torch_inside(module, name)
    return Loaded(
        name=name,
        forward=_outside(inside),
        identity=state_identity(module.state_dict(), architecture),
        parameters=sum(p.numel() for p in module.parameters()),
        channels=channels if channels is not None else first_channels(module),
        size=size,
        mean_std=mean_std,
        notes=notes,
        inside=inside,
        module=module,
    )


def state_identity(state: Mapping[str, torch.Tensor], architecture: str) -> bytes:
    """sha256 over names, shapes, types and values."""
    digest = hashlib.sha256(architecture.encode())
    for key in sorted(state):
        tensor = state[key].detach().cpu().contiguous()
        digest.update(f"{key}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(_raw(tensor))
    return digest.digest()


def _raw(tensor: torch.Tensor) -> bytes:
    import torch

    if tensor.numel() == 0:
        return b""
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


def first_channels(module: nn.Module) -> int | None:
    """The input channels of the first convolution, where the module has one that takes 1 or 3."""
    from torch import nn

    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            return layer.in_channels if layer.in_channels in (1, 3) else None
    return None


def torch_forward(module: nn.Module, name: str) -> Forward:
    """Runs the module without gradients, on a GPU if there is one."""
    return _outside(torch_inside(module, name))


def _outside(inside: Inside) -> Forward:
    return lambda x_NCHW: inside(x_NCHW, ())[0]


def torch_inside(module: nn.Module, name: str) -> Inside:
    """As ``torch_forward``, and in the same pass the answers of layers."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    layout = fast_layout(module)
    module = module.to(device=device, memory_format=layout)  # type: ignore[call-overload]

    def inside(x_NCHW: Array, names: Sequence[str] | None) -> tuple[Array, Mapping[str, Array]]:
        with torch.inference_mode(), watching(module, names) as seen:
            x = torch.from_numpy(x_NCHW).to(device)
            out: object = module(x.contiguous(memory_format=layout) if x.ndim == 4 else x)
        features = {
            layer: value.float().cpu().numpy()
            for layer, value in seen.items()
            if value.ndim and len(value) == len(x_NCHW)  # others say nothing of single examples
        }
        return first_tensor(out, name).float().cpu().numpy(), features

    return inside


def fast_layout(module: nn.Module) -> torch.memory_format:
    """Channels-last, in which a ResNet-56 ran 1.48 times as fast on a CPU, where that is safe.

    oneDNN of torch 2.13 corrupts memory in strided 1x1 convolutions of channels-last tensors
    whose channels are no multiple of 8 (benchmarks/LOG.md).
    """
    import torch
    from torch import nn

    for layer in module.modules():
        if isinstance(layer, nn.Conv3d | nn.Conv1d):
            return torch.contiguous_format
        if not isinstance(layer, nn.Conv2d) or layer.kernel_size != (1, 1) or layer.stride == (1, 1):
            continue
        if layer.in_channels % 8 or layer.out_channels % 8:
            return torch.contiguous_format
    return torch.channels_last


def first_tensor(out: object, name: str) -> torch.Tensor:
    """The logits in what a module returned: a tensor, the first of a tuple, ``.logits`` or ["logits"]."""
    import torch

    if isinstance(out, Mapping):
        out = out["logits"] if "logits" in out else next(iter(out.values()), None)
    elif hasattr(out, "logits"):
        out = out.logits
    elif isinstance(out, tuple | list) and out:
        out = out[0]
    if not isinstance(out, torch.Tensor):
        raise TeacherError(
            f"the network returned a {type(out).__name__}",
            where=name,
            fix="return one tensor of logits [N, classes]",
        )
    return out
