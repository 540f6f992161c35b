"""Loads weight files (.pt, .pth, .th, .ckpt, .safetensors) into a network, without running their code."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.errors import TeacherError
from edgedistill.teachers.loaded import Loaded, Request, first_line
from edgedistill.teachers.module import build, from_module

if TYPE_CHECKING:
    import torch
    from torch import nn

SUFFIXES = (".pt", ".pth", ".th", ".ckpt", ".safetensors")
STATE_KEYS = (
    "state_dict", "model_state_dict", "model", "net", "network", "ema_state_dict", "model_ema", "ema",
    "weights", "params",
)  # fmt: skip
PREFIXES = ("module.", "model.", "_orig_mod.", "net.", "network.", "backbone.")
_NAMED = 5  # keys named in a message


def load(request: Request) -> Loaded:
    """FILE@module:callable; the callable builds the network that the weights belong to."""
    file_text, at, architecture = request.body.rpartition("@")
    path = Path(file_text if at else request.body).expanduser()
    content = _content(path, request.trust)
    from torch import nn

    if isinstance(content, nn.Module):  # a pickled module, which only --trust lets through
        return from_module(content, path.stem, str(type(content)), notes=("the file holds a whole module",))
    state, notes = find_state(content, path)
    if not at:
        raise TeacherError(
            f"the file holds weights ({len(state)} tensors) but no architecture",
            where=str(path),
            fix=f"name the function that builds the network: {path}@package.module:callable "
            "(CIFAR ResNets: edgedistill.teachers.architectures:cifar_resnet20), or give a .pt2 or .onnx",
        )
    module = build(architecture, request.classes, where=f"teacher {request.spec}")
    stripped = fill(module, state, path, architecture)
    return from_module(module, path.stem, architecture, notes=(*notes, *stripped))


def read_state(path: Path, trust: bool) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """The state dict of a weight file, and notes that say where it was found."""
    return find_state(_content(path, trust), path)


def _content(path: Path, trust: bool) -> object:
    if not path.is_file():
        raise TeacherError("no such file", where=str(path), fix="check the path (teacher.spec or --teacher)")
    return read_safetensors(path) if path.suffix.lower() == ".safetensors" else _torch_file(path, trust)


def fill(
    module: nn.Module, state: Mapping[str, torch.Tensor], path: Path, architecture: str
) -> tuple[str, ...]:
    """Fills ``module`` with ``state``, prefixes stripped, and returns notes on that.

    Raises:
        TeacherError: keys or shapes differ; both sides are listed.
    """
    expected = module.state_dict()
    state, stripped = strip_prefixes(state, expected)
    missing = [k for k in expected if k not in state and not k.endswith("num_batches_tracked")]
    unexpected = [k for k in state if k not in expected and not k.endswith("num_batches_tracked")]
    shapes = [
        f"{k}: file {list(state[k].shape)}, network {list(expected[k].shape)}"
        for k in expected
        if k in state and state[k].shape != expected[k].shape
    ]
    lists = (
        ("missing in the file", missing),
        ("unknown to the network", unexpected),
        ("of other shape", shapes),
    )
    problems = [
        f"{len(keys)} {what}: {', '.join(keys[:_NAMED])}{', ...' if len(keys) > _NAMED else ''}"
        for what, keys in lists
        if keys
    ]
    if problems:
        raise TeacherError(
            "the weights do not fit the architecture; " + "; ".join(problems),
            where=f"{path} into {architecture}",
            fix="name the architecture that these weights were trained with"
            + (" and the data set with as many classes" if shapes and not missing and not unexpected else ""),
        )
    module.load_state_dict({k: v for k, v in state.items() if k in expected}, strict=False)
    return stripped


def find_state(content: object, path: Path) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """The state dict inside a checkpoint, and notes that say where it was found."""
    import torch

    trail: list[str] = []
    while isinstance(content, Mapping):
        tensors = {str(k): v for k, v in content.items() if isinstance(v, torch.Tensor)}
        if tensors and len(tensors) == len(content):
            notes = (f"the state dict was found under {'.'.join(trail)!r}",) if trail else ()
            return tensors, notes
        key = next((k for k in STATE_KEYS if isinstance(content.get(k), Mapping)), None)
        if key is None:
            break
        trail.append(key)
        content = content[key]
    keys = ", ".join(str(k) for k in list(content)[:_NAMED]) if isinstance(content, Mapping) else ""
    raise TeacherError(
        f"no state dict in the file: it holds a {type(content).__name__}"
        + (f" with keys {keys}" if keys else ""),
        where=str(path),
        fix="save it with torch.save(model.state_dict(), FILE)",
    )


def strip_prefixes(
    state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """Removes prefixes that all keys of the file carry and the network's keys don't."""
    result, notes = dict(state), []
    while result:
        prefix = next((p for p in PREFIXES if all(k.startswith(p) for k in result)), None)
        if prefix is None or all(k.startswith(prefix) for k in expected):
            break
        result = {k.removeprefix(prefix): v for k, v in result.items()}
        notes.append(f"the prefix {prefix!r} was stripped from all {len(result)} keys")
    return result, tuple(notes)


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as cause:
        raise TeacherError(
            f"the file is truncated or no safetensors file ({first_line(cause)})",
            where=str(path),
            fix="download or save it again",
        ) from cause


def _torch_file(path: Path, trust: bool) -> object:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as cause:
        if not _is_torch_file(path):
            raise _damaged(path, cause) from cause
        if not trust:
            raise TeacherError(
                "the file holds pickled Python objects besides weights; reading them can run code",
                where=str(path),
                fix="save the weights alone, torch.save(model.state_dict(), FILE), "
                "or pass --trust if you trust the file's author",
            ) from cause
    except (RuntimeError, EOFError, OSError, KeyError, ValueError) as cause:
        if "TorchScript" in str(cause):
            raise TeacherError(
                "the file is a TorchScript archive",
                where=str(path),
                fix="save it with torch.export.save(torch.export.export(...), 'FILE.pt2') or as ONNX",
            ) from cause
        raise _damaged(path, cause) from cause
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except Exception as cause:  # the file's own code runs here, on the user's word
        raise TeacherError(
            f"unpickling failed: {type(cause).__name__}: {first_line(cause)}",
            where=str(path),
            fix="make the classes it needs importable, or save the state dict alone",
        ) from cause


def _is_torch_file(path: Path) -> bool:
    """A zip archive, or a pickle of protocol 2 and up."""
    with path.open("rb") as file:
        head = file.read(4)
    return head == b"PK\x03\x04" or head[:1] == b"\x80"


def _damaged(path: Path, cause: Exception) -> TeacherError:
    return TeacherError(
        f"the file ({path.stat().st_size} bytes) is truncated or no torch file ({first_line(cause)})",
        where=str(path),
        fix="download or save it again",
    )
