"""Compiles a teacher network to an int8 student that computes the same bits in every runtime.

>>> import edgedistill
>>> recipe = edgedistill.Recipe(targets=("raspberry-pi-5",))
>>> records = edgedistill.build(recipe, Path("out"))  # doctest: +SKIP
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgedistill.build import build as build
    from edgedistill.recipe import Recipe as Recipe

__version__ = "0.1.0"
__all__ = ["Recipe", "__version__", "build"]


class _Package(ModuleType):
    """Loads ``build`` and ``Recipe`` on first use, so that importing the package stays fast.

    ``edgedistill.build`` is the function even after the module of that name was imported, which
    a plain attribute would not be; ``from edgedistill.build import ...`` still finds the module.
    """

    @property
    def build(self) -> Any:
        from importlib import import_module

        return import_module("edgedistill.build").build

    @build.setter
    def build(self, module: ModuleType) -> None:
        """The import system binds the submodule here; the function stays."""

    @property
    def Recipe(self) -> Any:
        from importlib import import_module

        return import_module("edgedistill.recipe").Recipe


sys.modules[__name__].__class__ = _Package
