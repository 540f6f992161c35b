"""The inverted-residual family: few weights and MACs for phones and microcontrollers."""

from __future__ import annotations

from torch import Tensor, nn

from edgedistill.students.blocks import SameConv2d, initialise


def _conv(
    inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1, act: bool = True
) -> nn.Sequential:
    layers: list[nn.Module] = [
        SameConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([nn.ReLU6()] if act else []))


class InvertedResidual(nn.Module):
    """1x1 expand, depthwise, linear 1x1 project, with a skip where shapes allow (Sandler 2018, figure 4)."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, kernel: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        expand = [_conv(inputs, hidden, 1, 1)] if expansion > 1 else []
        self.body = nn.Sequential(
            *expand,
            _conv(hidden, hidden, kernel, stride, groups=hidden),
            _conv(hidden, outputs, 1, 1, act=False),
        )
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.skip else y


def inverted_residual_net(
    classes: int,
    channels: int,
    *,
    width: int = 16,
    depth: int = 2,
    stages: int = 3,
    expansion: int = 4,
    kernel: int = 3,
) -> nn.Module:
    """Stem of ``width`` channels, ``stages`` of ``depth`` inverted residuals, 1x1 head, global average."""
    layers: list[nn.Module] = [_conv(channels, width, 3, 1)]
    inputs = width
    for stage in range(stages):
        outputs = width * 2**stage
        for block in range(depth):
            stride = 2 if stage > 0 and block == 0 else 1
            layers.append(InvertedResidual(inputs, outputs, stride, expansion, kernel))
            inputs = outputs
    layers += [
        _conv(inputs, inputs * 2, 1, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(inputs * 2, classes),
    ]
    net = nn.Sequential(*layers)
    initialise(net)
    return net
