"""Random moves and mirrors that gradients flow through: an image must keep its class under them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def jitter(images_NCHW: Tensor, *, mirror: bool) -> Tensor:
    """Moves the batch by up to an eighth of the side, the border reflected, and mirrors half of it.

    Draws from torch's current generator.
    """
    height, width = images_NCHW.shape[2:]
    reach_y, reach_x = max(1, height // 8), max(1, width // 8)
    y = int(torch.randint(2 * reach_y + 1, ()))
    x = int(torch.randint(2 * reach_x + 1, ()))
    padded = F.pad(images_NCHW, (reach_x, reach_x, reach_y, reach_y), mode="reflect")
    moved = padded[:, :, y : y + height, x : x + width]
    if not mirror:
        return moved
    chosen = torch.rand(len(moved)) < 0.5
    return torch.where(chosen.view(-1, 1, 1, 1), moved.flip(3), moved)
