"""Loads a pretrained network of the timm library by its name."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

from edgedistill.errors import TeacherError, UnknownNameError
from edgedistill.teachers import checkpoint, torchvision
from edgedistill.teachers.loaded import Loaded, Request, first_line
from edgedistill.teachers.module import from_module


def load(request: Request) -> Loaded:
    """timm:NAME, weights from its cache or the hub, or timm:NAME@FILE, weights from a file.

    The network's own mean, deviation and input size are taken.
    """
    how = "pip install 'edgedistill[timm]'  (timm and the torchvision it imports)"
    torchvision.make_importable()
    timm = need("timm", request.spec, how)
    name, _, file = request.body.partition("@")
    if not timm.is_model(name.split(".")[0]):
        raise UnknownNameError("timm network", name, timm.list_models(), where=f"teacher {request.spec}")
    try:
        if file:
            module = timm.create_model(name, pretrained=False, num_classes=request.classes)
        else:
            module = timm.create_model(name, pretrained=True)
    except Exception as cause:  # timm, the hub client and the network each raise their own kinds
        raise TeacherError(
            f"timm cannot load it: {type(cause).__name__}: {first_line(cause)}",
            where=f"teacher {request.spec}",
            fix=f"check the connection, or give a weight file: timm:{name}@FILE.safetensors",
        ) from cause
    notes: tuple[str, ...] = ()
    if file:
        path = Path(file).expanduser()
        state, found = checkpoint.read_state(path, request.trust)
        notes = (*found, *checkpoint.fill(module, state, path, f"timm's {name}"))
    config = module.pretrained_cfg
    height, width = config["input_size"][1:]
    return from_module(
        module,
        name,
        f"timm:{name}",
        channels=int(config["input_size"][0]),
        size=(int(height), int(width)),
        mean_std=(tuple(map(float, config["mean"])), tuple(map(float, config["std"]))),
        notes=notes,
    )


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
