"""Layers shared by the student families: convolution with TFLite's SAME padding, and initialisation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgedistill.errors import InputError


class SameConv2d(nn.Conv2d):
    """Convolution whose padding equals TFLite's SAME on even sizes, so no PAD operator is needed.

    Stride 1 pads symmetrically; stride 2 pads only below and to the right (kernel 3) or
    one less above than below (kernel 5). x [N,I,H,W] -> [N,O,ceil(H/s),ceil(W/s)].
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, *, groups: int = 1, bias: bool
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding=0, groups=groups, bias=bias)
        total = kernel - stride if stride > 1 else kernel - 1
        self.before, self.after = max(total, 0) // 2, max(total, 0) - max(total, 0) // 2
        if self.before == self.after:
            self.padding = (self.before, self.before)

    def forward(self, x: Tensor) -> Tensor:
        if self.before != self.after:
            x = F.pad(x, (self.before, self.after, self.before, self.after))
        if self.kernel_size == (1, 1) and self.stride != (1, 1):
            return F.conv2d(subsample(x, self.stride), self.weight, self.bias, groups=self.groups)
        return super().forward(x)


def subsample(x: Tensor, stride: tuple[int, ...]) -> Tensor:
    """Every stride-th pixel: what a strided 1x1 convolution reads.

    oneDNN of torch 2.13 corrupts memory in the strided 1x1 kernel when channels-last
    tensors have channels that are no multiple of 8 (benchmarks/LOG.md), so it is not used.
    """
    return x[:, :, :: stride[0], :: stride[1]]


def initialise(net: nn.Module) -> None:
    """He initialisation (He et al. 2015b, fan-out) from torch's current generator."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)


def stage_widths(family: str, width: int, later: Sequence[int], stages: int) -> tuple[int, ...]:
    """Channels of each stage: ``width``, then ``later``'s, where 0 stands for twice the stage before.

    Raises:
        InputError: the width of a stage that is not there.
    """
    _check_stages(family, "width", later, stages - 1, first=2)
    found = [width]
    for given in (*later, *[0] * stages)[: stages - 1]:
        found.append(given or 2 * found[-1])
    return tuple(found)


def stage_blocks(family: str, count: int, given: Sequence[int], stages: int) -> tuple[int, ...]:
    """Blocks of each stage: ``given``'s, where 0 stands for ``count``.

    Raises:
        InputError: the blocks of a stage that is not there.
    """
    _check_stages(family, "blocks", given, stages, first=1)
    return tuple(own or count for own in (*given, *[0] * stages)[:stages])


def stage_by_stage(
    inputs: int, widths: Sequence[int], blocks: Sequence[int]
) -> Iterator[tuple[int, int, int, int]]:
    """Of each block in order: stage from 0, channels in and out, stride; sides halve at each new stage."""
    for stage, (outputs, count) in enumerate(zip(widths, blocks, strict=True)):
        for block in range(count):
            yield stage, inputs, outputs, 2 if stage > 0 and block == 0 else 1
            inputs = outputs


def _check_stages(family: str, name: str, given: Sequence[int], stages: int, *, first: int) -> None:
    for number, value in enumerate(given[stages:], first + stages):
        if value:
            raise InputError(
                f"{name}{number} is of a stage that the student does not have",
                where=f"student {family}:{name}{number}={value}",
                fix=f"leave it out, or add stages={number}",
            )


def count_values(net: nn.Module) -> int:
    """Parameters and BatchNorm statistics: how Keras (and MLPerf Tiny) counts a network's size."""
    statistics = (b for name, b in net.named_buffers() if not name.endswith("num_batches_tracked"))
    return sum(t.numel() for t in [*net.parameters(), *statistics])


def channels_last(net: nn.Module) -> nn.Module:
    """Weights in channels-last order, which CPUs convolve faster."""
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
