"""Runs a torch network over uint8 images: the one place where pixels become a student's input."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgedistill.data.types import Split


def to_input(images_NHWC: NDArray[np.uint8]) -> Tensor:
    """``real = (pixel - 128) / 64`` as float32 [N, C, H, W] in channels-last order."""
    real = torch.from_numpy(np.asarray(images_NHWC).astype(np.float32)).permute(0, 3, 1, 2)
    return (real - 128) / 64


def to_pixels(x: Tensor) -> Tensor:
    """A student's input as pixels 0..1."""
    return (x * 64 + 128) / 255


def from_pixels(pixels: Tensor) -> Tensor:
    """Pixels 0..1 as a student's input."""
    return (pixels * 255 - 128) / 64


@torch.no_grad()
def logits(net: nn.Module, images_NHWC: NDArray[np.uint8], batch: int = 500) -> NDArray[np.float32]:
    """float32 [N, classes] in evaluation mode; the net's mode is restored."""
    training = net.training
    net.eval()
    device = next((value.device for value in net.state_dict().values()), torch.device("cpu"))
    parts = [
        net(to_input(images_NHWC[i : i + batch]).to(device)).float().cpu().numpy()
        for i in range(0, len(images_NHWC), batch)
    ]
    net.train(training)
    return np.concatenate(parts)


def top1(net: nn.Module, split: Split) -> float:
    """Share 0..1 of images whose highest logit is the label."""
    return float((logits(net, split.images_NHWC).argmax(1) == split.labels).mean())
