"""A recorded forward pass is, byte by byte, the graph that torch.export gives."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgedistill import students
from edgedistill.ir import serial
from edgedistill.lower.passes import simplify
from edgedistill.lower.record import Unrecorded, record
from edgedistill.lower.student import float_graph, quick_graph
from edgedistill.lower.trace import trace


@pytest.mark.parametrize(
    "spec",
    [
        "resnet:width=8",
        "resnet:width=4,blocks2=2,width3=12",
        "mobilenet:width=8,stem_stride=2,kernel=5,expansion1=1",
        "mobilenet:width=4,depth=1,stem=8",
        "dscnn:width=8,depth=2,stem=4",
    ],
)
def test_it_is_the_traced_graph(spec: str) -> None:
    shape = (49, 40, 1) if spec.startswith("dscnn") else (32, 32, 3)
    net = students.parse(spec).build(10, shape[2])
    recorded, traced = record(net, shape, ("a", "b"), "student"), trace(net, shape, ("a", "b"))
    assert serial.to_bytes(simplify(recorded)) == serial.to_bytes(simplify(traced))
    assert net.training and torch.is_grad_enabled()


class Odd(nn.Module):
    """Calls a function that the table does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3, bias=False), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(F.silu(self.conv(x)).mean((2, 3)))
        return y


def test_what_is_not_known_is_left_to_torch_export() -> None:
    net = Odd()
    with pytest.raises(Unrecorded, match="silu"):
        record(net, (8, 8, 3), (), "student")
    graphs = [lower(net, (8, 8, 3), ("a", "b")) for lower in (float_graph, quick_graph)]
    assert serial.to_bytes(graphs[0]) == serial.to_bytes(graphs[1])
    assert not net.conv._forward_hooks and not net.conv._forward_pre_hooks
