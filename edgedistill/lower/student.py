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


def quick_graph(net: nn.Module, image_shape: tuple[int, int, int], labels: tuple[str, ...]) -> Graph:
    """The same graph, recorded in a twentieth of the time where the student calls nothing unusual.

    Raises:
        UnsupportedOpError: as ``float_graph``.
    """
    from edgedistill.lower.record import Unrecorded, record

    try:
        recorded = record(net, image_shape, labels, "student")
    except (Unrecorded, RuntimeError):  # a size that torch refuses: export tells it in words
        return float_graph(net, image_shape, labels)
    return ranges.separate_fixed_operands(simplify(recorded))
