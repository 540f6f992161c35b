"""What every exported file says about itself, whatever its format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Metadata:
    """Name, labels and the pre-processing contract, written into each artifact's own metadata.

    ``real = input_scale * (q - input_zero_point)``; ``q = pixel - 128`` for images, and for sound
    ``q = feature - 128`` with features as ``provenance["front_end"]`` says.
    """

    name: str
    description: str
    labels: tuple[str, ...]
    input_scale: float
    input_zero_point: int
    version: str
    provenance: Mapping[str, str] = field(default_factory=dict)  # recipe hash, teacher, data, licence

    @property
    def input_noun(self) -> str:
        """What one value of the input is."""
        return "feature" if "front_end" in self.provenance else "pixel"
