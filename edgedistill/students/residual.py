"""The residual family: CIFAR-style ResNets from a few thousand parameters up."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from edgedistill.errors import InputError
from edgedistill.students.blocks import SameConv2d, initialise


class BasicBlock(nn.Module):
    """relu(bn(conv(relu(bn(conv(x))))) + shortcut(x)), a 1x1 convolution as shortcut where shapes change."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = SameConv2d(inputs, outputs, 3, stride, bias=True)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = SameConv2d(outputs, outputs, 3, 1, bias=True)
        self.bn2 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else SameConv2d(inputs, outputs, 1, stride, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResidualNet(nn.Module):
    """Stem, stages of basic blocks (channels double, sides halve), global average, linear head."""

    def __init__(self, classes: int, channels: int, width: int, blocks: int, stages: int) -> None:
        super().__init__()
        self.stem = SameConv2d(channels, width, 3, 1, bias=True)
        self.bn = nn.BatchNorm2d(width)
        layers, inputs = [], width
        for stage in range(stages):
            outputs = width * 2**stage
            for block in range(blocks):
                layers.append(BasicBlock(inputs, outputs, 2 if stage > 0 and block == 0 else 1))
                inputs = outputs
        self.blocks = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(inputs, classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        y = self.blocks(F.relu(self.bn(self.stem(x))))
        return self.head(self.pool(y).flatten(1))  # type: ignore[no-any-return]


def residual_net(
    classes: int, channels: int, *, width: int = 16, depth: int = 8, stages: int = 3
) -> nn.Module:
    """ResNet of ``depth = 2 * stages * blocks + 2`` layers; the defaults are MLPerf Tiny's ResNet-8.

    Raises:
        InputError: a depth that no whole number of blocks gives.
    """
    blocks, rest = divmod(depth - 2, 2 * stages)
    if blocks < 1 or rest:
        raise InputError(
            f"a residual student of {stages} stages has no depth {depth}",
            where=f"student resnet:depth={depth}",
            fix=f"depths are {2 * stages + 2}, {4 * stages + 2}, {6 * stages + 2}, ...",
        )
    return ResidualNet(classes, channels, width, blocks, stages)
