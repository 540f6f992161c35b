"""A torchvision without its compiled part is imported all the same; other faults are left alone."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import pytest

from edgedistill.teachers import torchvision


def broken(monkeypatch: pytest.MonkeyPatch, faults: list[Exception]) -> list[str]:
    """An importer of torchvision that fails with each of ``faults`` first; what was imported."""
    asked: list[str] = []

    def import_module(name: str) -> ModuleType:
        asked.append(name)
        if faults:
            raise faults.pop(0)
        return ModuleType(name)

    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(importlib, "import_module", import_module)
    return asked


def test_missing_operators_are_declared_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    names = ("edge_first", "edge_second")
    faults: list[Exception] = [RuntimeError(f"operator torchvision::{n} does not exist") for n in names]
    broken(monkeypatch, faults)
    torchvision.make_importable()
    assert not faults
    assert all(hasattr(torch.ops.torchvision, name) for name in names)


@pytest.mark.parametrize("fault", [RuntimeError("something else"), ImportError("no PIL")])
def test_another_fault_is_left_to_the_next_import(monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    asked = broken(monkeypatch, [fault])
    torchvision.make_importable()
    assert asked == ["torchvision"]


def test_nothing_is_imported_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = broken(monkeypatch, [])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    torchvision.make_importable()
    assert asked == []
