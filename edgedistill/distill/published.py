"""Mixes of losses at the weights of published code: what a search tries, and what benchmarks compare.

The weights are those of each paper's code, or of the code of Tian et al. 2020 (Contrastive Representation
Distillation), which compared most of them on CIFAR-100.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgedistill.recipe import LossSection

LABELS = LossSection(name="hard-labels")
HINTON = LossSection(name="hinton")  # alpha and temperature are the recipe's


def _feature(name: str, weight: float) -> LossSection:
    """On the last layer of every resolution."""
    return LossSection(name=name, weight=weight, taps=("auto",))


def _last(name: str, weight: float) -> LossSection:
    """On the last feature maps, before the mean over positions."""
    return LossSection(name=name, weight=weight, taps=("last",))


MIXES: Mapping[str, tuple[LossSection, ...]] = {
    "plain": (LABELS,),
    "hinton": (HINTON,),
    "soft-targets": (LossSection(name="soft-targets"),),
    "dkd": (LABELS, LossSection(name="dkd", warmup=1, options={"beta": 2.0})),  # its code for ResNet-56
    "standardised": (
        LossSection(name="hard-labels", weight=0.1),
        LossSection(name="standardised", weight=9.0, temperature=2.0),
    ),
    "regression": (LABELS, LossSection(name="regression")),
    "hint": (LABELS, _last("hint", 100.0)),
    "attention": (LABELS, _feature("attention", 1000.0)),
    "cosine": (LABELS, _feature("cosine", 1.0)),
    "many-to-one": (LABELS, LossSection(name="many-to-one", weight=100.0)),
    "rkd": (LABELS, _last("rkd-distance", 25.0), _last("rkd-angle", 50.0)),
    "similarity": (LABELS, _last("similarity", 3000.0)),
    "pkt": (LABELS, _last("pkt", 30_000.0)),
    "crd": (LABELS, _last("crd", 0.8)),
    "hinton + attention": (HINTON, _feature("attention", 1000.0)),
    "hinton + crd": (HINTON, _last("crd", 0.8)),
}


def written(name: str) -> list[dict[str, Any]]:
    """A mix as the value of a recipe's key ``distill.losses``."""
    return [entry.model_dump(exclude_unset=True) for entry in MIXES[name]]
