"""The inverted-residual family: few weights and MACs for phones and microcontrollers."""

from __future__ import annotations

from torch import Tensor, nn

from edgedistill.students.blocks import SameConv2d, initialise, stage_blocks, stage_by_stage, stage_widths


def convolution(
    inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1, act: bool = True
) -> nn.Sequential:
    """Convolution, BatchNorm, and ReLU6 unless ``act`` says no; float32 [N,inputs,H,W] in."""
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
        expand = [convolution(inputs, hidden, 1, 1)] if expansion > 1 else []
        self.body = nn.Sequential(
            *expand,
            convolution(hidden, hidden, kernel, stride, groups=hidden),
            convolution(hidden, outputs, 1, 1, act=False),
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
    width2: int = 0,
    width3: int = 0,
    width4: int = 0,
    blocks1: int = 0,
    blocks2: int = 0,
    blocks3: int = 0,
    blocks4: int = 0,
    expansion1: int = 0,
    stem: int = 0,
    stem_stride: int = 1,
    head: int = 0,
) -> nn.Module:
    """Stem, ``stages`` of ``depth`` inverted residuals, 1x1 head, global average.

    ``widthN`` are the channels of stage N (0: twice those of the stage before), ``blocksN`` its blocks
    (0: ``depth``). The first stage works on the largest images, so it may expand less: ``expansion1``
    (0: ``expansion``). ``stem`` and ``head`` are the channels of the first and the last convolution
    (0: ``width``, and twice the last stage's).

    Raises:
        InputError: a number of a stage that is not there.
    """
    widths = stage_widths("mobilenet", width, (width2, width3, width4), stages)
    blocks = stage_blocks("mobilenet", depth, (blocks1, blocks2, blocks3, blocks4), stages)
    layers: list[nn.Module] = [convolution(channels, stem or width, 3, stem_stride)]
    for stage, inputs, outputs, stride in stage_by_stage(stem or width, widths, blocks):
        wider = expansion1 or expansion if stage == 0 else expansion
        layers.append(InvertedResidual(inputs, outputs, stride, wider, kernel))
    last = head or widths[-1] * 2
    layers += [
        convolution(widths[-1], last, 1, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(last, classes),
    ]
    net = nn.Sequential(*layers)
    initialise(net)
    return net
