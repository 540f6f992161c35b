"""The methods by name, with their own numbers where a recipe gives none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from edgedistill.recipe import SynthesisSection
from edgedistill.synthesis import inversion, meta
from edgedistill.synthesis.setting import Method, Setting, Weights


@dataclass(frozen=True)
class MethodRow:
    """A row of the table; ``momentum`` is of the statistics over batches; ``learns``: from batch to batch."""

    make: Callable[[Setting], Method]
    defaults: Weights
    momentum: float
    learns: bool
    summary: str
    source: str


METHODS: Mapping[str, MethodRow] = {
    "generator": MethodRow(
        meta.MetaGenerator,
        meta.DEFAULTS,
        meta.MOMENTUM,
        True,
        "a generator that starts each batch from what all batches share; a few steps per batch",
        "Fang et al. 2022, Up to 100x Faster Data-free Knowledge Distillation",
    ),
    "inversion": MethodRow(
        inversion.Inversion,
        inversion.DEFAULTS,
        0.0,
        False,
        "gradient descent on the pixels; some hundred steps per batch",
        "Yin et al. 2020, Dreaming to Distill (DeepInversion)",
    ),
}


def weights(choices: SynthesisSection) -> Weights:
    """The recipe's numbers, and the method's where the recipe gives none."""
    given = {name: getattr(choices, name) for name in asdict(METHODS[choices.method].defaults)}
    defaults = asdict(METHODS[choices.method].defaults)
    return Weights(**{name: defaults[name] if value is None else value for name, value in given.items()})
