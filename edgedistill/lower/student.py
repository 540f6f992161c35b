"""From a student in torch to the float graph that is checked, quantised and delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedistill.ir.graph import Graph
from edgedistill.lower.passes import simplify
from edgedistill.lower.trace import trace
from edgedistill.quant import ranges

if TYPE_CHECKING:
    from torch import nn


def float_graph(net: nn.Module, image_shape: tuple[int, int, int], labels: tuple[str, ...]) -> Graph:
    """The graph of a student in evaluation mode; ``image_shape`` is (H, W, C).

    Raises:
        UnsupportedOpError: it has a layer that the graph lacks.
    """
    return ranges.separate_fixed_operands(simplify(trace(net, image_shape, labels)))
