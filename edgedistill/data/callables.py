"""Finds the Python callable that a user names as module:callable or FILE.py:callable."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import cast

from edgedistill.errors import InputError


def looks_like(spec: str) -> bool:
    """True for module:callable and FILE.py:callable."""
    module, colon, name = spec.rpartition(":")
    return bool(colon and module and name.replace(".", "_").isidentifier())


def find(spec: str, error: type[InputError], *, where: str) -> Callable[..., object]:
    """The callable behind ``spec``; the working folder counts as a place to import from.

    Args:
        spec: ``package.module:name`` or ``folder/file.py:name``.
        error: the class of the error that is raised.
        where: what the spec belongs to, for the message.
    """
    module_name, _, name = spec.rpartition(":")
    if not looks_like(spec):
        raise error(
            f"{spec!r} is not of the form module:callable", where=where, fix="write for example nets:resnet8"
        )
    value: object = _module(module_name, error, where)
    for part in name.split("."):
        if not hasattr(value, part):
            public = ", ".join(sorted(k for k, v in vars(value).items() if callable(v) and k[0] != "_")[:10])
            raise error(
                f"{module_name} has no {part!r}",
                where=where,
                fix=f"its callables: {public}" if public else "name a function of this module",
            )
        value = getattr(value, part)
    if not callable(value):
        raise error(
            f"{spec} is a {type(value).__name__}, not a callable", where=where, fix="name a function or class"
        )
    return cast("Callable[..., object]", value)


def _module(name: str, error: type[InputError], where: str) -> ModuleType:
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.append(here)
    try:
        if name.endswith(".py"):
            return _file_module(Path(name), error, where)
        return importlib.import_module(name)
    except InputError:
        raise
    except ModuleNotFoundError as cause:
        raise error(
            f"Python cannot import {name!r}: there is no module {cause.name!r}",
            where=where,
            fix="install it, run from the folder that holds it, or write FILE.py:callable",
        ) from cause
    except Exception as cause:  # the user's own code runs here: whatever it raises is told as its fault
        raise error(
            f"importing {name!r} failed: {type(cause).__name__}: {cause}",
            where=where,
            fix="repair this module",
        ) from cause
    finally:
        if added and here in sys.path:
            sys.path.remove(here)


def _file_module(path: Path, error: type[InputError], where: str) -> ModuleType:
    if not path.is_file():
        raise error(f"there is no file {path}", where=where, fix="check the path")
    # the name carries the path, so that two files of one stem stay two modules
    name = f"edgedistill_user_{path.stem}_{hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
