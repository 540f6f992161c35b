"""What every exported file says about itself, whatever its format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgedistill.ir.graph import Graph
from edgedistill.ir.ops import DepthwiseConv2D, Table


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
    def is_sound(self) -> bool:
        """Whether the input is what the sound front end makes of samples."""
        return "front_end" in self.provenance

    @property
    def input_noun(self) -> str:
        """What one value of the input is."""
        return "feature" if self.is_sound else "pixel"


def remarks(graph: Graph, scales: bool = False) -> dict[str, dict[str, str | float | bool]]:
    """By output, what file formats have no field for: names of operators, activations, functions.

    With ``scales`` also those of inputs and tables, for formats that give scales to operators and not to
    tensors. A reader of our own files restores the same graph with them; a runtime does not need them.
    """
    found: dict[str, dict[str, str | float | bool]] = {}
    for op in graph.ops:
        attrs = op.attrs
        said: dict[str, str | float | bool] = {}
        if op.name != op.outputs[0]:
            said["name"] = op.name
        if isinstance(attrs, Table):
            said["fn"] = attrs.fn
            if attrs.alpha:
                said["alpha"] = attrs.alpha
        if isinstance(attrs, DepthwiseConv2D):
            said["constant"] = attrs.constant
        act = getattr(attrs, "act", "none")
        if act != "none":
            said["act"] = act
        if said:
            found[op.outputs[0]] = said
    if scales and graph.is_integer:
        tables = (op.outputs[0] for op in graph.ops if isinstance(op.attrs, Table))
        for name in (*graph.inputs, *tables):
            quant = graph.tensors[name].quant
            assert quant is not None
            found.setdefault(name, {}).update(scale=float(quant.scale[0]), zero_point=quant.zero_point)
    return found
