"""Loads a pretrained network of the timm library by its name."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from edgedistill.errors import TeacherError, UnknownNameError
from edgedistill.teachers import checkpoint, torchvision
from edgedistill.teachers.loaded import Loaded, Request, first_line
from edgedistill.teachers.module import from_module

if TYPE_CHECKING:
    from torch import nn


def load(request: Request) -> Loaded:
    """timm:NAME, weights from its cache or the hub, or timm:NAME@FILE, weights from a file.

    The network's own mean, deviation and input size are taken.
    """
    name, _, file = request.body.partition("@")
    # weights from a file: no download, and as many classes as the data set has
    module = create(request.spec, name, classes=request.classes if file else None, pretrained=not file)
    notes: tuple[str, ...] = ()
    if file:
        path = Path(file).expanduser()
        state, found = checkpoint.read_state(path, request.trust)
        notes = (*found, *checkpoint.fill(module, state, path, f"timm's {name}"))
    size, mean_std, channels = facts(module)
    return from_module(
        module, name, f"timm:{name}", channels=channels, size=size, mean_std=mean_std, notes=notes
    )


def create(spec: str, name: str, *, classes: int | None, pretrained: bool) -> nn.Module:
    """A network of timm; ``classes``: None for its own.

    Raises:
        TeacherError: timm is not installed or fails.
        UnknownNameError: timm has no such network.
    """
    how = "pip install 'edgedistill[timm]'  (timm and the torchvision it imports)"
    torchvision.make_importable()
    timm = need("timm", spec, how)
    if not timm.is_model(name.split(".")[0]):
        raise UnknownNameError("timm network", name, timm.list_models(), where=f"teacher {spec}")
    options = {} if classes is None else {"num_classes": classes}
    try:
        module: nn.Module = timm.create_model(name, pretrained=pretrained, **options)
    except Exception as cause:  # timm, the hub client and the network each raise their own kinds
        raise TeacherError(
            f"timm cannot load it: {type(cause).__name__}: {first_line(cause)}",
            where=f"teacher {spec}",
            fix=f"check the connection, or give a weight file: timm:{name}@FILE.safetensors",
        ) from cause
    return module


def facts(module: nn.Module) -> tuple[tuple[int, int], tuple[tuple[float, ...], tuple[float, ...]], int]:
    """(H, W), mean and deviation on x/255, and channels that a network of timm says it wants."""
    config: Mapping[str, Any] = module.pretrained_cfg  # type: ignore[assignment]
    channels, height, width = config["input_size"]
    mean_std = tuple(map(float, config["mean"])), tuple(map(float, config["std"]))
    return (int(height), int(width)), mean_std, int(channels)


def need(library: str, spec: str, how: str) -> ModuleType:
    """Imports an optional library, or says how to get it.

    Args:
        library: its import name.
        spec: the teacher that needs it.
        how: the command that installs it.
    """
    if importlib.util.find_spec(library) is None:
        raise TeacherError(
            f"this teacher needs {library}, which is not installed", where=f"teacher {spec}", fix=how
        )
    try:
        return importlib.import_module(library)
    except Exception as cause:  # a broken installation can raise anything
        raise TeacherError(
            f"importing {library} failed: {type(cause).__name__}: {cause}", where=f"teacher {spec}", fix=how
        ) from cause
