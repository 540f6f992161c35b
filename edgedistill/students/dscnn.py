"""The DS-CNN family: depthwise-separable convolutions over frames and bands, for keyword spotting."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from edgedistill.students.blocks import initialise, subsample


class PaddedConv2d(nn.Conv2d):
    """Convolution with TFLite's SAME padding on any size: [N,I,H,W] -> [N,O,ceil(H/s),ceil(W/s)]."""

    def __init__(
        self, inputs: int, outputs: int, kernel: tuple[int, int], stride: tuple[int, int], groups: int = 1
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        (top, bottom), (left, right) = (
            _same(int(size), kernel, stride)
            for size, kernel, stride in zip(x.shape[2:], self.kernel_size, self.stride, strict=True)
        )
        if any((top, bottom, left, right)):
            x = F.pad(x, (left, right, top, bottom))
        if self.kernel_size == (1, 1) and self.stride != (1, 1):
            return F.conv2d(subsample(x, self.stride), self.weight, groups=self.groups)
        return super().forward(x)


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _layer(
    inputs: int, outputs: int, kernel: tuple[int, int], stride: tuple[int, int], groups: int = 1
) -> list[nn.Module]:
    return [PaddedConv2d(inputs, outputs, kernel, stride, groups), nn.BatchNorm2d(outputs), nn.ReLU()]


def dscnn(
    classes: int,
    channels: int,
    *,
    width: int = 64,
    depth: int = 4,
    frames: int = 10,
    bands: int = 8,
    step: int = 4,
    halvings: int = 1,
    stem: int = 0,
    kernel: int = 3,
) -> nn.Module:
    """A first convolution, ``depth`` depthwise-separable blocks of ``width`` channels, average, linear.

    Zhang et al. 2017, section 4.5, on 40 log-mel bands where they had 10 cepstral coefficients: the first
    convolution looks at ``frames`` x ``bands`` every 2 frames and ``step`` bands, and the first ``halvings``
    blocks halve both axes. ``stem`` are the first convolution's channels (0: ``width``), ``kernel`` is the
    side of the depthwise ones. The defaults cost 2.5 M multiplications on 49 x 40, MLPerf Tiny's DS-CNN
    2.66 M.
    """
    inputs = stem or width
    layers = _layer(channels, inputs, (frames, bands), (2, step))
    for block in range(depth):
        stride = (2, 2) if block < halvings else (1, 1)
        layers += _layer(inputs, inputs, (kernel, kernel), stride, groups=inputs)
        layers += _layer(inputs, width, (1, 1), (1, 1))
        inputs = width
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))
    initialise(net)
    return net
