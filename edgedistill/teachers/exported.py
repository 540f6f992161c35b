"""Loads a network that torch.export saved (.pt2)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import TeacherError
from edgedistill.teachers.loaded import Array, Forward, Loaded, Request, first_line
from edgedistill.teachers.module import torch_forward

if TYPE_CHECKING:
    import torch


def load(request: Request) -> Loaded:
    """FILE.pt2; the batch may be dynamic or fixed."""
    import torch

    path = Path(request.body).expanduser()
    if not path.is_file():
        raise TeacherError("no such file", where=str(path), fix="check the path (teacher.spec or --teacher)")
    try:
        program = torch.export.load(path)
    except Exception as cause:  # torch raises many kinds for a file that is no archive of its own
        raise TeacherError(
            f"the file is no exported program ({type(cause).__name__}: {first_line(cause)})",
            where=str(path),
            fix="write it with torch.export.save(torch.export.export(model, (example,)), FILE)",
        ) from cause
    batch, channels, size = _input(program, path)
    forward = torch_forward(program.module(), path.stem)
    return Loaded(
        name=path.stem,
        forward=forward if batch is None else in_batches(forward, batch),
        identity=hashlib.sha256(path.read_bytes()).digest(),
        parameters=sum(p.numel() for p in program.parameters()),
        channels=channels,
        size=size,
        notes=() if batch is None else (f"the network takes {batch} image(s) at a time",),
    )


def in_batches(forward: Forward, batch: int) -> Forward:
    """Feeds ``batch`` images at a time; the last batch is filled up with copies."""

    def batched(x_NCHW: NDArray[np.float32]) -> NDArray[np.float32]:
        parts = []
        for start in range(0, len(x_NCHW), batch):
            part = x_NCHW[start : start + batch]
            parts.append(forward(filled(part, batch))[: len(part)])
        return np.concatenate(parts)

    return batched


def filled(x: Array, batch: int) -> Array:
    """``x`` with copies of its last example, up to ``batch``."""
    return np.concatenate([x, np.repeat(x[-1:], batch - len(x), axis=0)])


def _input(
    program: torch.export.ExportedProgram, path: Path
) -> tuple[int | None, int | None, tuple[int, int] | None]:
    """(fixed batch, channels, (H, W)) of the only input [N,C,H,W]; None where it is free."""
    names = program.graph_signature.user_inputs
    shapes = [
        node.meta["val"].shape
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in names
    ]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise TeacherError(
            f"the network takes {len(shapes)} inputs of shapes {[list(map(str, s)) for s in shapes]}",
            where=str(path),
            fix="export a network with one input [N,C,H,W]",
        )
    batch, channels, height, width = (side if isinstance(side, int) else None for side in shapes[0])
    return batch, channels, (height, width) if height is not None and width is not None else None
