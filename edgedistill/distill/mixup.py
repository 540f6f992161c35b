"""Mixup: images of a batch blended in pairs, which teacher and student then both see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Second:
    """What was mixed into a batch: the labels [N] of the second images, and the share of the first ones."""

    labels: Tensor
    share: float


def mixed(
    images_NHWC: NDArray[np.uint8], labels_N: NDArray[np.int64], alpha: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], Second]:
    """``share * x_i + (1 - share) * x_j`` with ``share`` from ``Beta(alpha, alpha)``, one for the batch.

    Zhang et al. 2018 (mixup), section 1, with the batch in another order as the second images, as in
    the authors' code. alpha 1 draws the share evenly from 0 to 1, which function matching wants (Beyer
    et al. 2022, section 3.1). Images stay whole numbers: teacher and student see the same bytes.

    Returns:
        The images uint8 [N,H,W,C], and what was mixed in.
    """
    share, order = float(rng.beta(alpha, alpha)), rng.permutation(len(images_NHWC))
    first = images_NHWC.astype(np.float32)
    blend = np.rint(share * first + (1 - share) * first[order]).astype(np.uint8)
    return blend, Second(torch.from_numpy(labels_N[order]), share)
