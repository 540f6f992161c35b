"""Loads a pretrained network of the timm library by its name."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from edgedistill.errors import TeacherError, UnknownNameError
from edgedistill.teachers.loaded import Loaded, Request, first_line
from edgedistill.teachers.module import from_module


def load(request: Request) -> Loaded:
    """timm:NAME; its own mean, deviation and input size are taken. Weights come from its cache or the hub."""
    timm = need("timm", request.spec, "pip install 'edgedistill[timm]'  (timm and the torchvision it needs)")
    need("torchvision", request.spec, "pip install 'edgedistill[timm]'  (timm imports torchvision)")
    if not timm.is_model(request.body.split(".")[0]):
        raise UnknownNameError(
            "timm network", request.body, timm.list_models(), where=f"teacher {request.spec}"
        )
    try:
        module = timm.create_model(request.body, pretrained=True)
    except Exception as cause:  # timm, the hub client and the network each raise their own kinds
        raise TeacherError(
            f"timm cannot load it: {type(cause).__name__}: {first_line(cause)}",
            where=f"teacher {request.spec}",
            fix="check the connection, or download the weights once on a machine that has one",
        ) from cause
    config = module.pretrained_cfg
    height, width = config["input_size"][1:]
    return from_module(
        module,
        request.body,
        request.spec,
        channels=int(config["input_size"][0]),
        size=(int(height), int(width)),
        mean_std=(tuple(map(float, config["mean"])), tuple(map(float, config["std"]))),
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
