"""The generator: noise becomes images through two doublings of the side."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

NOISE = 256  # values of noise per image (Fang et al. 2021, appendix)


class Generator(nn.Module):
    """z [N,NOISE] -> images [N,C,H,W] in 0..1.

    Linear, then twice (double the side, 3x3 convolution, batch norm, leaky ReLU), then a 3x3
    convolution and a sigmoid: the small generator of DAFL and CMI (Chen et al. 2019; Fang et al.
    2021), with ``width`` channels instead of 64, as it costs more than a small teacher otherwise.
    """

    def __init__(self, shape_HWC: tuple[int, int, int], width: int) -> None:
        super().__init__()
        height, side, channels = shape_HWC
        self.size = height, side
        self.start = (2 * width, -(-height // 4), -(-side // 4))  # rounded up, and cut at the end
        self.linear = nn.Linear(NOISE, math.prod(self.start))
        self.body = nn.Sequential(
            nn.BatchNorm2d(2 * width),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.2),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(2 * width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, channels, 3, padding=1),
            nn.Sigmoid(),
        )
        self.body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, z: Tensor) -> Tensor:
        x = self.linear(z).view(-1, *self.start)
        images: Tensor = self.body(x.contiguous(memory_format=torch.channels_last))
        return images[:, :, : self.size[0], : self.size[1]]
