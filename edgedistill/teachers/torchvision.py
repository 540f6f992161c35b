"""Makes torchvision importable where its compiled part does not load, for libraries that import it."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from typing import Any

_LIBRARY = "torchvision"
_MISSING = re.compile(rf"operator {_LIBRARY}::(\w+) does not exist")
_MOST = 32  # operators declared; torchvision 0.28 asks for two
_kept: list[Any] = []  # torch forgets an operator when its library object goes


def make_importable() -> None:
    """Imports torchvision, and declares the operators that its import asks for.

    PyPI's torchvision is built for CUDA's torch; beside a CPU build its library is not found and
    ``import torchvision`` fails on ``torchvision::nms``, and with it timm and the image models of
    transformers. No classifier calls these operators. Whatever else is wrong with the installation
    is left to who imports it next.
    """
    import torch

    if importlib.util.find_spec(_LIBRARY) is None or _LIBRARY in sys.modules:
        return
    for _ in range(_MOST):
        try:
            importlib.import_module(_LIBRARY)
            return
        except RuntimeError as cause:
            found = _MISSING.search(str(cause))
            if found is None:
                return
        except ImportError:
            return
        for name in [n for n in sys.modules if n.split(".")[0] == _LIBRARY]:
            del sys.modules[name]  # what the failed import left behind
        library = torch.library.Library(_LIBRARY, "FRAGMENT")  # type: ignore[no-untyped-call]
        library.define(f"{found[1]}(Tensor x) -> Tensor")  # type: ignore[no-untyped-call]
        _kept.append(library)
