"""Loads an image classifier of the transformers library, by hub name or from a folder."""

from __future__ import annotations

import os
from pathlib import Path

from edgedistill.errors import TeacherError
from edgedistill.teachers import torchvision
from edgedistill.teachers.loaded import Loaded, Request, first_line
from edgedistill.teachers.module import from_module
from edgedistill.teachers.timm import need


def load(request: Request) -> Loaded:
    """hf:NAME or hf:FOLDER; a folder, or HF_HUB_OFFLINE=1, never asks the network."""
    how = "pip install 'edgedistill[hf]'"
    torchvision.make_importable()  # a broken one keeps transformers from its image models
    transformers = need("transformers", request.spec, how)
    folder = Path(request.body).expanduser()
    local = folder.is_dir() or os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0")
    name = str(folder) if folder.is_dir() else request.body
    try:
        module = transformers.AutoModelForImageClassification.from_pretrained(
            name,
            local_files_only=local,
            use_safetensors=None if request.trust else True,
            trust_remote_code=False,
        )
    except Exception as cause:  # transformers and the hub client each raise their own kinds
        raise TeacherError(
            f"transformers cannot load it: {first_line(cause)}",
            where=f"teacher {request.spec}",
            fix="give a folder written by save_pretrained (model.safetensors), or check name and connection",
        ) from cause
    mean_std, size = None, None
    try:
        processor = transformers.AutoImageProcessor.from_pretrained(name, local_files_only=local)
    except (OSError, ValueError, ImportError):
        processor = None  # no preprocessor_config.json: teacher.normalisation decides
    if processor is not None:
        mean, std = getattr(processor, "image_mean", None), getattr(processor, "image_std", None)
        if mean and std:
            mean_std = (tuple(map(float, mean)), tuple(map(float, std)))
    side = getattr(module.config, "image_size", None)
    if isinstance(side, int):
        size = (side, side)
    elif isinstance(side, list | tuple) and len(side) == 2:
        size = (int(side[0]), int(side[1]))
    channels = getattr(module.config, "num_channels", None)
    notes = () if mean_std else ("the model has no preprocessor settings: teacher.normalisation decides",)
    return from_module(
        module,
        Path(name).name,
        f"hf:{type(module).__name__}",
        channels=channels,
        size=size,
        mean_std=mean_std,
        notes=notes,
    )
