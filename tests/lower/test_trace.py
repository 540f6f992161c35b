"""Every layer that the trace knows gives the same numbers as torch, and the others are named."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgedistill.errors import UnsupportedOpError
from edgedistill.ir.interpret import run
from edgedistill.lower.passes import simplify
from edgedistill.lower.trace import trace
from edgedistill.students import STUDENTS


class Zoo(nn.Module):
    """Most operators in one net: padding, gates, pools, concatenation, tables, a flatten of pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 6, 3, 2, 1)
        self.bn = nn.BatchNorm2d(6)
        self.dw = nn.Conv2d(6, 6, 5, 1, "same", groups=6)
        self.gate = nn.Conv2d(6, 6, 1)
        self.b = nn.Conv2d(6, 4, 3, bias=False)
        self.fc = nn.Linear(10 * 2 * 2, 12)
        self.out = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.bn(self.a(x)), 0.1)
        x = x + F.gelu(self.dw(x))
        x = x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))
        y = F.relu6(self.b(F.pad(x, (1, 1, 1, 1))))
        x = torch.cat([F.max_pool2d(x, 3, 2, 1), F.avg_pool2d(y, 2)], 1)
        x = F.adaptive_avg_pool2d(x, 2).flatten(1)
        return self.out(F.relu(self.fc(F.dropout(x, 0.1, self.training))))


def randomised(net: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
            nn.init.uniform_(module.weight, 0.5, 2)
    return net.eval()


@pytest.mark.parametrize(
    "make",
    [Zoo, lambda: STUDENTS["resnet"].make(10, 3), lambda: STUDENTS["mobilenet"].make(10, 3)],
    ids=["zoo", "resnet", "mobilenet"],
)
def test_graph_equals_torch(make: Callable[[], nn.Module]) -> None:
    net = randomised(make())
    x = torch.randn(3, 3, 16, 16)
    graph = trace(net, (16, 16, 3))
    expected = net(x).detach().numpy()
    inputs = {"input": x.permute(0, 2, 3, 1).numpy()}
    for stage in (graph, simplify(graph)):
        got = run(stage, inputs)[stage.outputs[0]]
        np.testing.assert_allclose(got, expected, atol=2e-5, rtol=1e-4)


def test_batchnorm_and_relu_are_folded() -> None:
    graph = simplify(trace(randomised(STUDENTS["resnet"].make(10, 3)), (32, 32, 3)))
    kinds = [op.kind for op in graph.ops]
    assert kinds.count("CONV_2D") == 9 and kinds.count("ADD") == 3
    assert kinds.count("DEPTHWISE_CONV_2D") == 1  # the global average


def test_operators_keep_the_names_of_their_layers() -> None:
    graph = simplify(trace(STUDENTS["resnet"].make(3, 3, width=4), (8, 8, 3)))
    names = [op.name for op in graph.ops]
    assert names[:4] == ["stem", "blocks.0.conv1", "blocks.0.conv2", "blocks.0.add"]
    assert {"blocks.1.conv1", "blocks.1.shortcut", "pool", "flatten", "head"} <= set(names)


def test_all_unknown_operators_are_named_at_once() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.erfinv(torch.cumsum(x, 1))

    with pytest.raises(UnsupportedOpError, match=r"cumsum.*erfinv"):
        trace(Odd(), (8, 8, 3))


def test_dilation_is_refused_with_the_layer() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide = nn.Conv2d(3, 4, 3, dilation=2)

        def forward(self, x: Tensor) -> Tensor:
            return self.wide(x)  # type: ignore[no-any-return]

    with pytest.raises(UnsupportedOpError, match=r"'wide'.*dilation"):
        trace(Net(), (8, 8, 3))
