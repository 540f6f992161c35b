"""The residual family: CIFAR-style ResNets from a few thousand parameters up."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from edgedistill.errors import InputError
from edgedistill.students.blocks import SameConv2d, initialise, stage_blocks, stage_by_stage, stage_widths


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
    """Stem, stages of basic blocks (sides halve from stage to stage), global average, linear head."""

    def __init__(self, classes: int, channels: int, widths: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        self.stem = SameConv2d(channels, widths[0], 3, 1, bias=True)
        self.bn = nn.BatchNorm2d(widths[0])
        planned = stage_by_stage(widths[0], widths, blocks)
        self.blocks = nn.Sequential(*(BasicBlock(i, o, stride) for _, i, o, stride in planned))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(widths[-1], classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        y = self.blocks(F.relu(self.bn(self.stem(x))))
        return self.head(self.pool(y).flatten(1))  # type: ignore[no-any-return]


def residual_net(
    classes: int,
    channels: int,
    *,
    width: int = 16,
    depth: int = 8,
    stages: int = 3,
    width2: int = 0,
    width3: int = 0,
    width4: int = 0,
    blocks1: int = 0,
    blocks2: int = 0,
    blocks3: int = 0,
    blocks4: int = 0,
) -> nn.Module:
    """ResNet of ``depth = 2 * stages * blocks + 2`` layers; the defaults are MLPerf Tiny's ResNet-8.

    ``widthN`` are the channels of stage N (0: twice those of the stage before), ``blocksN`` its basic
    blocks (0: as many as ``depth`` says).

    Raises:
        InputError: a depth that no whole number of blocks gives, or a number of a stage that is not there.
    """
    blocks, rest = divmod(depth - 2, 2 * stages)
    if blocks < 1 or rest:
        raise InputError(
            f"a residual student of {stages} stages has no depth {depth}",
            where=f"student resnet:depth={depth}",
            fix=f"depths are {2 * stages + 2}, {4 * stages + 2}, {6 * stages + 2}, ...",
        )
    widths = stage_widths("resnet", width, (width2, width3, width4), stages)
    counts = stage_blocks("resnet", blocks, (blocks1, blocks2, blocks3, blocks4), stages)
    return ResidualNet(classes, channels, widths, counts)
