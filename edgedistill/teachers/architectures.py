"""Teacher networks that this package can build by itself: for digits, for CIFAR, and for keywords."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut without parameters (He et al. 2015, section 3.3, option A)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.added = channels - channels_in

    def forward(self, x: Tensor) -> Tensor:  # [N,C,H,W] -> [N,channels,H/stride,W/stride]
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        short = x[:, :, :: self.stride, :: self.stride]
        if self.added:  # zeros on both sides of the channels, as the public CIFAR checkpoints were trained
            short = F.pad(short, (0, 0, 0, 0, self.added // 2, self.added - self.added // 2))
        return F.relu(y + short)


class ResNet(nn.Module):
    """He et al. 2015, section 4.2: a 3x3 stem, stages that halve the side and widen, mean, linear."""

    def __init__(
        self, channels: int, widths: tuple[int, ...], blocks: int, classes: int, stem_stride: int = 1
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, widths[0], 3, stride=stem_stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        width = widths[0]
        self.stages: list[str] = []
        for number, wider in enumerate(widths, start=1):
            layers = []
            for index in range(blocks):
                layers.append(BasicBlock(width, wider, 2 if number > 1 and index == 0 else 1))
                width = wider
            self.add_module(f"layer{number}", nn.Sequential(*layers))
            self.stages.append(f"layer{number}")
        self.linear = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:  # [N,C,H,W] -> [N,classes]
        x = F.relu(self.bn1(self.conv1(x)))
        for stage in self.stages:
            x = self.get_submodule(stage)(x)
        logits: Tensor = self.linear(x.mean(dim=(2, 3)))
        return logits


def cifar_resnet20(classes: int = 10) -> nn.Module:
    """0.27 M parameters, 3x32x32."""
    return ResNet(3, (16, 32, 64), 3, classes)


def cifar_resnet56(classes: int = 10) -> nn.Module:
    """0.86 M parameters, 3x32x32."""
    return ResNet(3, (16, 32, 64), 9, classes)


def digits_teacher(classes: int = 10) -> nn.Module:
    """0.09 M parameters, 1x8x8: the built-in teacher of the built-in digits."""
    return ResNet(1, (24, 48), 2, classes)


def keyword_teacher(classes: int = 12) -> nn.Module:
    """0.17 M parameters, 1x49x40 log-mel features of a second of sound."""
    return ResNet(1, (24, 48, 96), 1, classes, stem_stride=2)


def parameter_count(module: nn.Module) -> int:
    """All parameters, trained or not."""
    return sum(p.numel() for p in module.parameters())
